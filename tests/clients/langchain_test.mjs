// @langchain/ollama: ChatOllama, Ollama, OllamaEmbeddings.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HumanMessage, SystemMessage, ToolMessage } from '@langchain/core/messages'
import { tool } from '@langchain/core/tools'
import { ChatOllama, Ollama, OllamaEmbeddings } from '@langchain/ollama'
import { z } from 'zod'
import { collect, server } from './lib/server.mjs'

const s = server({ encoder: true })
const base = () => ({ baseUrl: s.url, fetch: s.fetch, maxRetries: 0 })
const chat = (more) => new ChatOllama({ ...base(), model: 'hearth-nano', temperature: 0, numPredict: 24, ...more })
const prompt = 'Tell me a story about a sailor.'

test('invoke and stream give the same text', async () => {
  const whole = await chat().invoke(prompt)
  assert.ok(whole.content.length > 0)
  assert.equal(whole.usage_metadata.total_tokens, whole.usage_metadata.input_tokens + whole.usage_metadata.output_tokens)
  const parts = await collect(await chat().stream(prompt))
  assert.equal(parts.map((p) => p.content).join(''), whole.content)
  const sum = parts.reduce((a, b) => a.concat(b))
  assert.equal(sum.usage_metadata.output_tokens, whole.usage_metadata.output_tokens)
})

test('messages of several roles, batch, seed', async () => {
  const messages = [new SystemMessage('Be brief.'), new HumanMessage(prompt)]
  const [one, two] = await chat().batch([messages, messages])
  assert.equal(one.content, two.content)
  const warm = (seed) => chat({ temperature: 1.2, seed, numPredict: 32 }).invoke(messages)
  assert.equal((await warm(5)).content, (await warm(5)).content)
})

test('bindTools and the turn after', async () => {
  const weather = tool(async () => 'sunny', { name: 'get_weather', description: 'tells the weather of a city', schema: z.object({ city: z.string().describe('city') }) })
  const bound = chat({ numPredict: 80 }).bindTools([weather])
  const question = new HumanMessage('What is the weather in Rome?')
  const answer = await bound.invoke([question])
  const parts = await collect(await bound.stream([question]))
  const sum = parts.reduce((a, b) => a.concat(b))
  const plain = (calls) => calls.map((c) => [c.name, c.args])
  assert.deepEqual(plain(sum.tool_calls), plain(answer.tool_calls))
  if (answer.tool_calls.length) {
    const [call] = answer.tool_calls
    const after = await bound.invoke([question, answer, new ToolMessage({ content: 'sunny', tool_call_id: call.id, name: call.name })])
    assert.ok(after.usage_metadata.input_tokens > answer.usage_metadata.input_tokens)
  }
})

test('Ollama, the model of plain texts', async () => {
  const model = new Ollama({ ...base(), model: 'hearth-nano', temperature: 0, numPredict: 16 })
  const whole = await model.invoke(prompt)
  assert.equal((await collect(await model.stream(prompt))).join(''), whole)
})

test('embeddings', async () => {
  const embedder = new OllamaEmbeddings({ ...base(), model: 'tiny-embed' })
  const many = await embedder.embedDocuments(['Why is the sky blue?', 'The sea is deep.'])
  assert.equal(many.length, 2)
  assert.deepEqual(await embedder.embedQuery('The sea is deep.'), many[1])
})

test('errors, abort', async () => {
  await assert.rejects(chat({ model: 'nobody' }).invoke(prompt), /'nobody' not found/)
  const controller = new AbortController()
  let n = 0
  await assert.rejects(async () => {
    for await (const part of await chat({ temperature: 1, numPredict: 1900 }).stream(prompt, { signal: controller.signal })) {
      assert.ok(part)
      if (++n === 3) controller.abort()
    }
  })
  assert.ok(n >= 3)
  await s.idleAgain()
})
