// npm ollama: every method that the server has.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Ollama } from 'ollama'
import { blob, collect, encoderFile, eventually, server } from './lib/server.mjs'

const s = server({ encoder: true })
const client = () => new Ollama({ host: s.url, fetch: s.fetch })
const model = 'hearth-nano'
const messages = [{ role: 'user', content: 'Tell me a story about a sailor.' }]
const options = { temperature: 0, num_predict: 24 }
const failed = (status, text) => (e) => {
  assert.equal(e.name, 'ResponseError')
  assert.equal(e.status_code, status)
  assert.match(e.message, text)
  return true
}

test('version', async () => {
  assert.match((await client().version()).version, /^\d/)
})

test('generate, whole and streamed, gives the same text', async () => {
  const whole = await client().generate({ model, prompt: 'Hello!', options })
  const parts = await collect(await client().generate({ model, prompt: 'Hello!', options, stream: true }))
  assert.ok(whole.response.length > 0)
  assert.equal(parts.map((p) => p.response).join(''), whole.response)
  assert.equal(whole.model, model)
  assert.deepEqual(parts.at(-1).context, whole.context)
  assert.equal(parts.at(-1).eval_count, whole.eval_count)
  assert.ok(parts.length > 2)
  assert.ok(whole.total_duration >= whole.eval_duration)
})

test('generate goes on from a context', async () => {
  const first = await client().generate({ model, prompt: 'Hello!', options })
  const second = await client().generate({ model, prompt: 'And then?', context: first.context, options })
  assert.deepEqual(second.context.slice(0, first.context.length), first.context)
  assert.ok(second.prompt_eval_count > first.prompt_eval_count)
})

test('generate: raw, system, stop, num_predict', async () => {
  const raw = await client().generate({ model, prompt: 'Once upon a time', raw: true, options: { ...options, num_predict: 5 } })
  assert.equal(raw.eval_count, 5)
  assert.equal(raw.done_reason, 'length')
  assert.equal(raw.context, undefined)
  const full = await client().generate({ model, prompt: 'Tell me a story.', system: 'You are brief.', options })
  const word = full.response.trim().split(/\s+/)[3]
  const cut = await client().generate({ model, prompt: 'Tell me a story.', system: 'You are brief.', options: { ...options, stop: [word] } })
  assert.equal(cut.response, full.response.slice(0, full.response.indexOf(word)))
  assert.equal(cut.done_reason, 'stop')
  await assert.rejects(client().generate({ model, prompt: 'x', raw: true, system: 'y' }), failed(400, /raw mode does not support/))
})

test('chat, whole and streamed, gives the same text', async () => {
  const whole = await client().chat({ model, messages, options })
  const parts = await collect(await client().chat({ model, messages, options, stream: true }))
  assert.equal(parts.map((p) => p.message.content).join(''), whole.message.content)
  assert.ok(parts.every((p) => p.message.role === 'assistant'))
  assert.deepEqual(parts.map((p) => p.done), parts.map((_, i) => i === parts.length - 1))
  assert.equal(parts.at(-1).prompt_eval_count, whole.prompt_eval_count)
})

test('seed: the same again, and another one differs', async () => {
  const say = async (seed) =>
    (await client().chat({ model, messages, options: { num_predict: 32, temperature: 1.2, seed } })).message.content
  const first = await say(7)
  assert.equal(await say(7), first)
  assert.notEqual(await say(8), first)
})

test('chat: logprobs', async () => {
  const ask = { model, messages, options: { ...options, num_predict: 6 }, logprobs: true, top_logprobs: 3 }
  const whole = await client().chat(ask)
  assert.equal(whole.logprobs.length, whole.eval_count)
  for (const l of whole.logprobs) {
    assert.equal(l.top_logprobs.length, 3)
    assert.equal(l.top_logprobs[0].token, l.token) // temperature 0 takes the likeliest
    assert.ok(l.top_logprobs[0].logprob >= l.top_logprobs[1].logprob)
    assert.deepEqual([...Buffer.from(l.token)], l.bytes)
  }
  const parts = await collect(await client().chat({ ...ask, stream: true }))
  assert.deepEqual(parts.flatMap((p) => p.logprobs ?? []), whole.logprobs)
})

test('chat: tools are taken, arguments are objects', async () => {
  const tool = { type: 'function', function: { name: 'get_weather', description: 'the weather of a city', parameters: { type: 'object', required: ['city'], properties: { city: { type: 'string', description: 'city' } } } } }
  const ask = { model, messages: [{ role: 'user', content: 'What is the weather in Rome?' }], tools: [tool], options: { temperature: 0, num_predict: 60 } }
  const whole = await client().chat(ask)
  const parts = await collect(await client().chat({ ...ask, stream: true }))
  const plain = (calls) => (calls ?? []).map((c) => c.function)
  assert.deepEqual(parts.flatMap((p) => plain(p.message.tool_calls)), plain(whole.message.tool_calls))
  assert.equal(parts.map((p) => p.message.content).join(''), whole.message.content)
  assert.ok(!whole.message.content.includes('<tool_call>'))
  // a turn of a tool that was called
  const after = await client().chat({
    model,
    messages: [
      ...ask.messages,
      { role: 'assistant', content: '', tool_calls: [{ function: { name: 'get_weather', arguments: { city: 'Rome' } } }] },
      { role: 'tool', tool_name: 'get_weather', content: 'sunny' },
    ],
    tools: [tool],
    options,
  })
  assert.ok(after.prompt_eval_count > whole.prompt_eval_count)
})

test('think is refused by a model that cannot, format until it is there', async () => {
  await assert.rejects(client().chat({ model, messages, think: true }), failed(400, /"hearth-nano" does not support thinking/))
  assert.ok((await client().chat({ model, messages, think: false, options })).message.content)
  await assert.rejects(client().chat({ model, messages, format: 'json' }), failed(501, /cannot be constrained/))
  await assert.rejects(client().generate({ model, prompt: 'x', format: { type: 'object' } }), failed(501, /cannot be constrained/))
})

test('errors name what was wrong', async () => {
  const c = client()
  await assert.rejects(c.chat({ model: 'nobody', messages }), failed(404, /model 'nobody' not found/))
  await assert.rejects(c.generate({ model: 'nobody', prompt: 'x', stream: true }), failed(404, /model 'nobody' not found/))
  await assert.rejects(c.show({ model: 'nobody' }), failed(404, /not found/))
  await assert.rejects(c.delete({ model: 'nobody' }), failed(404, /not found/))
  await assert.rejects(c.copy({ source: 'nobody', destination: 'x' }), failed(404, /not found/))
  await assert.rejects(c.embed({ model: 'nobody', input: 'x' }), failed(404, /not found/))
  await assert.rejects(c.chat({ model: 'tiny-embed', messages }), failed(400, /does not support chat/))
  await assert.rejects(c.chat({ model, messages, options: { temperature: 'warm' } }), failed(400, /temperature/))
  await assert.rejects(c.chat({ model, messages: [{ role: 'user', content: 'x', images: ['AAAA'] }] }), failed(400, /images/))
  const long = 'word '.repeat(6000)
  await assert.rejects(c.chat({ model, messages: [{ role: 'user', content: long }] }), failed(400, /\d+.*token/))
  await assert.rejects(c.systemone({ model, state: {}, questions: {} }), failed(404, /./))
})

test('abort in the middle of a stream stops the work', async () => {
  const gone = await s.metric('hearth_http_clients_gone_total')
  for (const start of [
    (c) => c.chat({ model, messages, stream: true, options: { temperature: 0, num_predict: 1900, stop: [] } }),
    (c) => c.generate({ model, raw: true, prompt: 'Once', stream: true, options: { temperature: 0, num_predict: 1900 } }),
  ]) {
    const c = client()
    const stream = await start(c)
    let n = 0
    await assert.rejects(async () => {
      for await (const part of stream) {
        assert.ok(!part.done)
        if (++n === 3) c.abort()
      }
    }, { name: 'AbortError' })
    assert.ok(n >= 3)
    await s.idleAgain()
  }
  assert.ok((await s.metric('hearth_http_clients_gone_total')) >= gone + 1)
})

test('leaving the loop of a stream stops the work', async () => {
  const stream = await client().generate({ model, raw: true, prompt: 'Once', stream: true, options: { temperature: 0, num_predict: 1900 } })
  for await (const part of stream) {
    assert.ok(!part.done)
    break
  }
  stream.abort()
  await s.idleAgain()
})

test('keep_alive loads and unloads', async () => {
  const c = client()
  const loaded = await c.generate({ model, prompt: '', keep_alive: '10m' })
  assert.equal(loaded.done_reason, 'load')
  const [row] = (await c.ps()).models.filter((m) => m.name === 'hearth-nano:latest')
  const left = new Date(row.expires_at) - Date.now()
  assert.equal(row.context_length, 2048)
  assert.ok(left > 9 * 60e3 && left < 11 * 60e3, `${left} ms`)
  await c.generate({ model, prompt: '', keep_alive: '10m', options: { num_ctx: 1024 } })
  assert.equal((await c.ps()).models.find((m) => m.name === 'hearth-nano:latest').context_length, 1024)
  const unloaded = await c.chat({ model, messages: [], keep_alive: 0 })
  assert.equal(unloaded.done_reason, 'unload')
  await eventually('it left', async () => !(await c.ps()).models.some((m) => m.name === 'hearth-nano:latest'))
  await c.generate({ model, prompt: '', keep_alive: -1 })
  assert.ok(new Date((await c.ps()).models[0].expires_at) - Date.now() > 1e12)
  await assert.rejects(c.generate({ model, prompt: '', keep_alive: 'soon' }), failed(400, /keep_alive/))
  await c.generate({ model, prompt: '', keep_alive: '5m' })
})

test('list, show', async () => {
  const c = client()
  const names = (await c.list()).models.map((m) => m.name)
  assert.deepEqual(names.sort(), ['hearth-nano:latest', 'tiny-embed:latest'])
  const shown = await c.show({ model })
  assert.deepEqual(shown.capabilities, ['completion', 'tools'])
  assert.equal(shown.details.family, 'llama')
  assert.equal(shown.model_info['llama.context_length'], 2048)
  assert.match(shown.template, /im_start/)
  assert.equal(shown.tensors, undefined)
  assert.ok((await c.show({ model, verbose: true })).tensors.length > 50)
  assert.deepEqual((await c.show({ model: 'tiny-embed' })).capabilities, ['embedding'])
})

test('create from a model, copy, delete', async () => {
  const c = client()
  const steps = await collect(
    await c.create({ model: 'pirate', from: model, system: 'You are a pirate.', parameters: { temperature: 0, num_predict: 9, stop: ['zz'] }, stream: true }),
  )
  assert.equal(steps.at(-1).status, 'success')
  assert.ok(steps.length > 1)
  const shown = await c.show({ model: 'pirate' })
  assert.equal(shown.system, 'You are a pirate.')
  assert.match(shown.parameters, /num_predict +9/)
  assert.match(shown.modelfile, /SYSTEM/)
  assert.equal((await c.chat({ model: 'pirate', messages })).eval_count, 9)
  await c.copy({ source: 'pirate', destination: 'corsair:v1' })
  const digests = Object.fromEntries((await c.list()).models.map((m) => [m.name, m.digest]))
  assert.equal(digests['corsair:v1'], digests['pirate:latest'])
  assert.deepEqual(await c.delete({ model: 'pirate' }), { status: 'success' })
  await assert.rejects(c.show({ model: 'pirate' }), failed(404, /not found/))
  assert.equal((await c.chat({ model: 'corsair:v1', messages })).eval_count, 9)
  await c.delete({ model: 'corsair:v1' })
})

test('create from a blob', async () => {
  const c = client()
  const digest = await blob(s.url, encoderFile)
  const head = await fetch(`${s.url}/api/blobs/${digest}`, { method: 'HEAD' })
  assert.equal(head.status, 200)
  assert.equal((await c.create({ model: 'again', files: { 'model.gguf': digest } })).status, 'success')
  assert.deepEqual((await c.show({ model: 'again' })).capabilities, ['embedding'])
  await c.delete({ model: 'again' })
  const none = 'sha256:' + '0'.repeat(64)
  assert.equal((await fetch(`${s.url}/api/blobs/${none}`, { method: 'HEAD' })).status, 404)
  assert.equal((await fetch(`${s.url}/api/blobs/${none}`, { method: 'POST', body: 'x' })).status, 400)
  await assert.rejects(c.create({ model: 'again', files: { 'model.gguf': none } }), /not found|no blob/)
  await assert.rejects(c.create({ model: 'again', from: 'nobody' }), /not found/)
})

test('embed and embeddings', async () => {
  const c = client()
  const texts = ['Why is the sky blue?', 'The sea is deep.']
  const both = await c.embed({ model: 'tiny-embed', input: texts })
  assert.equal(both.embeddings.length, 2)
  for (const v of both.embeddings) assert.ok(Math.abs(Math.hypot(...v) - 1) < 1e-5)
  // a model that generates embeds, too
  const own = await c.embed({ model, input: [...texts, texts[0]] })
  assert.equal(own.embeddings.length, 3)
  assert.deepEqual(own.embeddings[2], own.embeddings[0])
  for (const v of own.embeddings) assert.ok(Math.abs(Math.hypot(...v) - 1) < 1e-5)
  for (const i of [0, 1]) {
    const one = await c.embed({ model: 'tiny-embed', input: texts[i] })
    assert.deepEqual(one.embeddings, [both.embeddings[i]])
  }
  const short = await c.embed({ model: 'tiny-embed', input: texts[0], dimensions: 8 })
  assert.equal(short.embeddings[0].length, 8)
  assert.ok(Math.abs(Math.hypot(...short.embeddings[0]) - 1) < 1e-5)
  assert.deepEqual((await c.embed({ model: 'tiny-embed', input: [] })).embeddings, [])
  const old = (await c.embeddings({ model: 'tiny-embed', prompt: texts[0] })).embedding
  const length = Math.hypot(...old)
  old.forEach((x, i) => assert.ok(Math.abs(x / length - both.embeddings[0][i]) < 1e-5))
  const long = 'word '.repeat(3000)
  assert.equal((await c.embed({ model: 'tiny-embed', input: long })).embeddings.length, 1)
  await assert.rejects(c.embed({ model: 'tiny-embed', input: long, truncate: false }), failed(400, /exceeds the context length/))
})
