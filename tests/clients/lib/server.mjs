// A server of our own for each test file: started before its tests, stopped after them, with a home
// that nobody else has. What every client receives goes through a fetch that checks it (checked.mjs).
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { checkedFetch } from './checked.mjs'

const program = process.env.HEARTH_TEST_PROGRAM
const source = process.env.HEARTH_TEST_SOURCE
export const encoderFile = join(source, 'tests/data/golden/gguf/distilbert_seqcls-bf16.gguf')

// Polls until fn gives something true.
export async function eventually(what, fn, ms = 60000) {
  for (const end = Date.now() + ms; Date.now() < end; await sleep(20)) {
    const got = await fn()
    if (got) return got
  }
  assert.fail(`never happened: ${what}`)
}

function start(home, args) {
  const child = spawn(program, ['serve', '--port', '0', '--log', 'off', ...args], {
    env: { ...process.env, HEARTH_HOME: home, OLLAMA_MODELS: join(home, 'no-ollama') },
    stdio: ['ignore', 'inherit', 'pipe'],
  })
  process.on('exit', () => child.kill('SIGKILL'))
  let log = ''
  return new Promise((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text) => {
      log += text
      const url = log.match(/^hearth: listening on (\S+)$/m)
      if (url) resolve({ child, url: url[1], log: () => log })
    })
    child.on('exit', (code) => reject(new Error(`serve: exit ${code}: ${log}`)))
  })
}

async function stop({ child, log, url }) {
  const ended = new Promise((resolve) => child.on('exit', (code, signal) => resolve({ code, signal })))
  child.kill('SIGTERM')
  assert.deepEqual(await ended, { code: 0, signal: null }, log())
  await assert.rejects(fetch(url), 'the port still answers')
}

export async function blob(url, path) {
  const bytes = readFileSync(path)
  const digest = 'sha256:' + createHash('sha256').update(bytes).digest('hex')
  const res = await fetch(`${url}/api/blobs/${digest}`, { method: 'POST', body: bytes })
  assert.ok(res.status === 201 || res.status === 200, `blob: ${res.status}`)
  return digest
}

async function post(url, path, body) {
  const res = await fetch(url + path, { method: 'POST', body: JSON.stringify(body) })
  assert.equal(res.status, 200, `${path}: ${await res.text()}`)
}

// Hooks for a test file. encoder: make the model "tiny-embed" too. keys: names with the options of
// `hearth key add`, made before the start; their texts are in server.keys.
export function server({ args = [], encoder = false, keys = {} } = {}) {
  const s = { keys: {} }
  before(async () => {
    s.home = mkdtempSync(join(process.env.HEARTH_TEST_TMP, 'home-'))
    for (const [name, options] of Object.entries(keys)) {
      const made = spawnSync(program, ['key', 'add', name, ...options], {
        env: { ...process.env, HEARTH_HOME: s.home },
        encoding: 'utf8',
      })
      assert.equal(made.status, 0, made.stderr)
      s.keys[name] = made.stdout.trim()
    }
    s.process = await start(s.home, args)
    s.url = s.process.url
    const checked = checkedFetch()
    s.fetch = checked.fetch
    s.checked = checked
    if (encoder)
      await post(s.url, '/api/create', {
        model: 'tiny-embed',
        files: { 'model.gguf': await blob(s.url, encoderFile) },
        stream: false,
      })
  })
  afterEach(async () => {
    if (s.checked) assert.deepEqual(await s.checked.problems(), [])
  })
  after(async () => {
    if (s.process) await stop(s.process)
    if (s.home) rmSync(s.home, { recursive: true })
  })
  // requests in the models' hands
  s.busy = async () =>
    (await (await fetch(`${s.url}/api/ps`)).json()).models.reduce((n, m) => n + m.requests, 0)
  // a row of /metrics (the sum, where it has labels)
  s.metric = async (name) => {
    const text = await (await fetch(`${s.url}/metrics`)).text()
    const rows = [...text.matchAll(/^([a-z_:]+)(\{[^}]*\})? (\S+)$/gm)].filter((m) => m[1] === name)
    assert.ok(rows.length, `no metric ${name} in:\n${text}`)
    return rows.reduce((n, m) => n + Number(m[3]), 0)
  }
  // an answer that was given up is worked on no longer, and was not computed to its end
  s.idleAgain = async () => {
    await eventually('no request is running', async () => (await s.busy()) === 0)
    await eventually('none is in flight but this', async () => (await s.metric('hearth_http_requests_in_flight')) <= 1)
  }
  return s
}

export async function collect(iterable) {
  const all = []
  for await (const one of iterable) all.push(one)
  return all
}
