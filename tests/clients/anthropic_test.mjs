// @anthropic-ai/sdk: messages, its stream helper, tools, token counts, models, errors.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import { collect, server } from './lib/server.mjs'

const model = 'hearth-nano'
const messages = [{ role: 'user', content: 'Tell me a story about a sailor.' }]
const ask = { model, messages, temperature: 0, max_tokens: 24 }
const tools = ['get_weather', 'get_time'].map((name) => ({
  name,
  description: `tells the ${name.slice(4)} of a city`,
  input_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
}))
const question = [{ role: 'user', content: 'What is the weather in Rome?' }]
const text = (m) => m.content.filter((b) => b.type === 'text').map((b) => b.text).join('')

describe('without keys', () => {
  const s = server()
  const client = () => new Anthropic({ baseURL: s.url, apiKey: 'unused', fetch: s.fetch, maxRetries: 0 })

  test('messages, whole, streamed, and by the helper, give the same text', async () => {
    const whole = await client().messages.create(ask)
    assert.equal(whole.content.length, 1)
    assert.ok(text(whole).length > 0)
    assert.equal(whole.model, model)
    const events = await collect(await client().messages.create({ ...ask, stream: true }))
    const types = events.map((e) => e.type).filter((t) => t !== 'ping')
    assert.equal(types[0], 'message_start')
    assert.equal(types[1], 'content_block_start')
    assert.deepEqual(types.slice(-3), ['content_block_stop', 'message_delta', 'message_stop'])
    assert.ok(types.slice(2, -3).every((t) => t === 'content_block_delta'))
    assert.equal(events.filter((e) => e.type === 'content_block_delta').map((e) => e.delta.text).join(''), text(whole))
    const begin = events.find((e) => e.type === 'message_start').message.usage
    const end = events.find((e) => e.type === 'message_delta').usage
    const read = (u) => u.input_tokens + u.cache_read_input_tokens
    assert.equal(read(begin), read(whole.usage))
    assert.equal(read(end), read(whole.usage))
    assert.equal(end.output_tokens, whole.usage.output_tokens)
    const stream = client().messages.stream(ask)
    let heard = ''
    stream.on('text', (delta) => (heard += delta))
    const final = await stream.finalMessage()
    assert.equal(text(final), text(whole))
    assert.equal(heard, text(whole))
    assert.equal(final.stop_reason, whole.stop_reason)
    assert.equal(final.usage.output_tokens, whole.usage.output_tokens)
  })

  test('max_tokens and stop_sequences tell why they ended', async () => {
    const cut = await client().messages.create({ ...ask, max_tokens: 5 })
    assert.equal(cut.stop_reason, 'max_tokens')
    assert.equal(cut.usage.output_tokens, 5)
    const full = text(await client().messages.create(ask))
    const word = full.trim().split(/\s+/)[4]
    for (const make of [(r) => client().messages.create(r), (r) => client().messages.stream(r).finalMessage()]) {
      const stopped = await make({ ...ask, stop_sequences: ['qqqq', word] })
      assert.equal(stopped.stop_reason, 'stop_sequence')
      assert.equal(stopped.stop_sequence, word)
      assert.equal(text(stopped), full.slice(0, full.indexOf(word)))
    }
  })

  test('system as text and as blocks, content as blocks', async () => {
    const one = await client().messages.create({ ...ask, system: 'Be brief.' })
    const two = await client().messages.create({
      ...ask,
      system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
      messages: [{ role: 'user', content: [{ type: 'text', text: messages[0].content, cache_control: { type: 'ephemeral' } }] }],
      metadata: { user_id: 'u' },
      top_p: 1,
    })
    assert.equal(text(two), text(one))
    assert.ok(two.usage.cache_read_input_tokens > 0) // the prompt was there already
  })

  test('tools: blocks whole and streamed, and the turn after', async () => {
    const base = { model, messages: question, tools, temperature: 0, max_tokens: 80 }
    for (const tool_choice of [{ type: 'tool', name: 'get_time' }, { type: 'any' }]) {
      const whole = await client().messages.create({ ...base, tool_choice })
      const [use] = whole.content.filter((b) => b.type === 'tool_use')
      assert.equal(whole.stop_reason, 'tool_use')
      if (tool_choice.name) assert.equal(use.name, tool_choice.name)
      assert.ok(tools.some((t) => t.name === use.name))
      const final = await client().messages.stream({ ...base, tool_choice }).finalMessage()
      assert.equal(final.stop_reason, 'tool_use')
      const bare = (m) => m.content.map(({ id, ...rest }) => rest)
      assert.deepEqual(bare(final), bare(whole))
      const after = await client().messages.create({
        ...ask,
        tools,
        messages: [...question, { role: 'assistant', content: whole.content }, { role: 'user', content: [{ type: 'tool_result', tool_use_id: use.id, content: [{ type: 'text', text: 'sunny' }] }] }],
      })
      assert.ok(after.usage.output_tokens > 0)
    }
    const none = await client().messages.create({ ...base, tool_choice: { type: 'none' } })
    assert.ok(none.content.every((b) => b.type === 'text'))
  })

  test('the tool runner calls our function', async () => {
    let given
    const runner = client().beta.messages.toolRunner({
      model,
      max_tokens: 60,
      temperature: 0,
      messages: question,
      tools: [{ ...tools[0], run: async (input) => ((given = input), 'sunny'), parse: (x) => x }],
      tool_choice: { type: 'tool', name: 'get_weather' },
      max_iterations: 1,
    })
    const seen = await collect(runner)
    assert.equal(seen[0].stop_reason, 'tool_use')
    assert.equal(typeof given, 'object')
  })

  test('countTokens agrees with what a message reads', async () => {
    const { input_tokens } = await client().messages.countTokens({ model, messages, system: 'Be brief.' })
    const { usage } = await client().messages.create({ ...ask, system: 'Be brief.', max_tokens: 1 })
    assert.equal(input_tokens, usage.input_tokens + usage.cache_read_input_tokens)
    const more = await client().messages.countTokens({ model, messages, system: 'Be brief.', tools })
    assert.ok(more.input_tokens > input_tokens)
  })

  test('models', async () => {
    const list = await collect(client().models.list())
    assert.deepEqual(list.map((m) => m.id), ['hearth-nano:latest'])
    assert.equal((await client().models.retrieve('hearth-nano')).id, 'hearth-nano')
    await assert.rejects(client().models.retrieve('nobody'), Anthropic.NotFoundError)
  })

  test('errors are of the class of their status', async () => {
    const make = (more) => client().messages.create({ ...ask, ...more })
    await assert.rejects(make({ model: 'nobody' }), (e) => {
      assert.ok(e instanceof Anthropic.NotFoundError)
      assert.equal(e.error.error.type, 'not_found_error')
      assert.ok(e.requestID)
      return true
    })
    await assert.rejects(make({ model: 'nobody', stream: true }), Anthropic.NotFoundError)
    for (const more of [
      { max_tokens: undefined },
      { max_tokens: 0 },
      { messages: [] },
      { messages: [{ role: 'pirate', content: 'x' }] },
      { temperature: 'warm' },
      { tools, tool_choice: { type: 'tool', name: 'unknown' } },
      { messages: [{ role: 'user', content: 'word '.repeat(6000) }] },
      { messages: [{ role: 'user', content: 'word '.repeat(6000) }], stream: true },
    ])
      await assert.rejects(make(more), (e) => {
        assert.ok(e instanceof Anthropic.BadRequestError, `${JSON.stringify(more).slice(0, 200)}: ${e}`)
        assert.equal(e.error.error.type, 'invalid_request_error')
        return true
      })
  })

  test('abort in the middle of a stream stops the work', async () => {
    const stream = client().messages.stream({ ...ask, max_tokens: 1900, temperature: 1 })
    let n = 0
    await assert.rejects(async () => {
      for await (const event of stream) {
        assert.ok(event.type)
        if (++n === 5) stream.abort()
      }
    }, Anthropic.APIUserAbortError)
    await s.idleAgain()
  })
})

describe('with keys', () => {
  const s = server({ keys: { all: [], slow: ['--rpm', '1'] } })
  const client = (apiKey) => new Anthropic({ baseURL: s.url, apiKey, fetch: s.fetch, maxRetries: 0 })

  test('AuthenticationError, RateLimitError', async () => {
    const tiny = { ...ask, max_tokens: 1 }
    await assert.rejects(client('wrong').messages.create(tiny), (e) => e instanceof Anthropic.AuthenticationError && e.error.error.type === 'authentication_error')
    assert.equal((await client(s.keys.all).messages.create(tiny)).usage.output_tokens, 1)
    await client(s.keys.slow).messages.create(tiny)
    await assert.rejects(client(s.keys.slow).messages.create(tiny), Anthropic.RateLimitError)
  })
})
