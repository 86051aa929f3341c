// The AI SDK through three providers: Ollama's API, OpenAI's and Anthropic's. Its schemas are strict:
// a field that is null or absent where it should not be fails here.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { APICallError, embed, embedMany, generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai'
import { createOllama } from 'ollama-ai-provider-v2'
import { collect, server } from './lib/server.mjs'

const s = server({ encoder: true })
const providers = {
  ollama: () => createOllama({ baseURL: `${s.url}/api`, fetch: s.fetch }),
  'openai-compatible': () =>
    createOpenAICompatible({ name: 'hearth', baseURL: `${s.url}/v1`, apiKey: 'unused', fetch: s.fetch, includeUsage: true }),
  anthropic: () => createAnthropic({ baseURL: `${s.url}/v1`, apiKey: 'unused', fetch: s.fetch }),
}
const prompt = 'Tell me a story about a sailor.'
const calls = []
const tools = {
  get_weather: tool({
    description: 'tells the weather of a city',
    inputSchema: jsonSchema({ type: 'object', properties: { city: { type: 'string' } } }),
    execute: async (input) => (calls.push(input), 'sunny'),
  }),
}

for (const [name, make] of Object.entries(providers)) {
  describe(name, () => {
    const model = (id = 'hearth-nano') => make().languageModel(id)
    // Ollama's provider takes temperature and limits among its own options only
    const native = ({ temperature = 0, maxOutputTokens = 24, stopSequences }) => ({
      ollama: { options: { temperature, num_predict: maxOutputTokens, ...(stopSequences && { stop: stopSequences }) } },
    })
    const ask = (more) =>
      name === 'ollama'
        ? { model: model(), prompt, maxRetries: 0, ...more, temperature: undefined, stopSequences: undefined, providerOptions: native(more ?? {}) }
        : { model: model(), prompt, temperature: 0, maxOutputTokens: 24, maxRetries: 0, ...more }

    test('generateText and streamText give the same text', async () => {
      const whole = await generateText(ask())
      assert.ok(whole.text.length > 0)
      assert.ok(['stop', 'length'].includes(whole.finishReason), whole.finishReason)
      assert.ok(whole.usage.inputTokens > 0 && whole.usage.outputTokens > 0)
      const stream = streamText(ask({ onError() {} }))
      const parts = await collect(stream.textStream)
      assert.equal(parts.join(''), whole.text)
      assert.ok(parts.length > 2)
      assert.equal(await stream.finishReason, whole.finishReason)
      assert.equal((await stream.usage).outputTokens, whole.usage.outputTokens)
    })

    test('system, earlier turns, stop sequences, a limit', async () => {
      const messages = [{ role: 'user', content: 'Hello!' }, { role: 'assistant', content: 'Hello, you.' }, { role: 'user', content: prompt }]
      const full = await generateText({ ...ask({ system: 'Be brief.', messages }), prompt: undefined })
      const word = full.text.trim().split(/\s+/)[3]
      const cut = await generateText({ ...ask({ system: 'Be brief.', messages, stopSequences: [word] }), prompt: undefined })
      assert.equal(cut.text, full.text.slice(0, full.text.indexOf(word)))
      const short = await generateText(ask({ maxOutputTokens: 3 }))
      assert.equal(short.usage.outputTokens, 3)
      assert.equal(short.finishReason, 'length')
    })

    test('tools', async () => {
      calls.length = 0
      // Ollama's API has no tool_choice: whether the model calls is its own affair there
      const forced = name === 'ollama' ? {} : { toolChoice: { type: 'tool', toolName: 'get_weather' } }
      const base = { prompt: 'What is the weather in Rome?', tools, ...forced, maxOutputTokens: 80 }
      const whole = await generateText(ask({ ...base, stopWhen: stepCountIs(1) }))
      const stream = streamText(ask({ ...base, stopWhen: stepCountIs(1), onError() {} }))
      await stream.consumeStream()
      const plain = (list) => list.map((c) => [c.toolName, c.input])
      assert.deepEqual(plain(await stream.toolCalls), plain(whole.toolCalls))
      if (name !== 'ollama') {
        assert.equal(whole.finishReason, 'tool-calls')
        assert.ok(whole.toolCalls.length >= 1)
      }
      assert.equal(calls.length, 2 * whole.toolCalls.length)
      // the results go back in a second step
      const two = await generateText(ask({ ...base, toolChoice: 'auto', stopWhen: stepCountIs(2) }))
      assert.ok(two.steps.length >= 1)
      if (two.steps[0].toolCalls.length) assert.equal(two.steps.length, 2)
    })

    test('errors', async () => {
      await assert.rejects(generateText(ask({ model: model('nobody') })), (e) => {
        assert.ok(APICallError.isInstance(e), String(e))
        assert.equal(e.statusCode, 404)
        assert.match(e.message + e.responseBody, /'nobody' not found/)
        return true
      })
      let told
      const stream = streamText(ask({ model: model('nobody'), onError: ({ error }) => (told = error) }))
      await stream.consumeStream({ onError() {} })
      assert.equal(told.statusCode, 404)
    })

    test('abort in the middle of a stream stops the work', async () => {
      const controller = new AbortController()
      const stream = streamText(ask({ temperature: 1, maxOutputTokens: 1900, abortSignal: controller.signal, onError() {} }))
      let n = 0
      for await (const part of stream.fullStream)
        if (part.type === 'text-delta' && ++n === 3) controller.abort()
      assert.ok(n >= 3)
      await s.idleAgain()
    })

    if (name !== 'anthropic')
      test('embed, embedMany', async () => {
        const embedder = make().textEmbeddingModel('tiny-embed')
        const values = ['Why is the sky blue?', 'The sea is deep.']
        const many = await embedMany({ model: embedder, values, maxRetries: 0 })
        assert.equal(many.embeddings.length, 2)
        const one = await embed({ model: embedder, value: values[1], maxRetries: 0 })
        assert.deepEqual(one.embedding, many.embeddings[1])
      })
  })
}
