// npm openai: chat, completions, embeddings, models, and the classes of its errors.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import OpenAI from 'openai'
import { collect, server } from './lib/server.mjs'

const model = 'hearth-nano'
const messages = [{ role: 'user', content: 'Tell me a story about a sailor.' }]
const ask = { model, messages, temperature: 0, max_completion_tokens: 24 }
const tools = ['get_weather', 'get_time'].map((name) => ({
  type: 'function',
  function: {
    name,
    description: `tells the ${name.slice(4)} of a city`,
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
}))
const question = [{ role: 'user', content: 'What is the weather in Rome?' }]

describe('without keys', () => {
  const s = server({ encoder: true })
  const client = () => new OpenAI({ baseURL: `${s.url}/v1`, apiKey: 'unused', fetch: s.fetch, maxRetries: 0 })

  test('chat, whole and streamed, gives the same text', async () => {
    const whole = await client().chat.completions.create(ask)
    const [choice] = whole.choices
    assert.ok(choice.message.content.length > 0)
    assert.equal(whole.model, model)
    assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens)
    const stream = await client().chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } })
    const parts = await collect(stream)
    assert.equal(parts.flatMap((p) => p.choices.map((c) => c.delta.content ?? '')).join(''), choice.message.content)
    assert.equal(new Set(parts.map((p) => p.id)).size, 1)
    assert.equal(parts[0].choices[0].delta.role, 'assistant')
    const last = parts.at(-1)
    assert.deepEqual(last.choices, [])
    assert.equal(last.usage.completion_tokens, whole.usage.completion_tokens)
    assert.equal(last.usage.prompt_tokens, whole.usage.prompt_tokens)
    assert.ok(parts.slice(0, -1).every((p) => p.usage === null))
    assert.equal(parts.at(-2).choices[0].finish_reason, choice.finish_reason)
    const plain = await collect(await client().chat.completions.create({ ...ask, stream: true }))
    assert.ok(plain.every((p) => p.usage === undefined && p.choices.length === 1))
  })

  test('the stream helper puts the message together', async () => {
    const whole = await client().chat.completions.create(ask)
    const stream = client().chat.completions.stream(ask)
    let text = ''
    stream.on('content', (delta) => (text += delta))
    const done = await stream.finalChatCompletion()
    assert.equal(done.choices[0].message.content, whole.choices[0].message.content)
    assert.equal(text, whole.choices[0].message.content)
  })

  test('max_completion_tokens, max_tokens, stop', async () => {
    for (const limit of [{ max_completion_tokens: 4 }, { max_completion_tokens: undefined, max_tokens: 4 }]) {
      const cut = await client().chat.completions.create({ ...ask, ...limit })
      assert.equal(cut.usage.completion_tokens, 4)
      assert.equal(cut.choices[0].finish_reason, 'length')
    }
    const full = (await client().chat.completions.create(ask)).choices[0].message.content
    const word = full.trim().split(/\s+/)[4]
    const stopped = await client().chat.completions.create({ ...ask, stop: ['qqqq', word] })
    assert.equal(stopped.choices[0].message.content, full.slice(0, full.indexOf(word)))
    assert.equal(stopped.choices[0].finish_reason, 'stop')
  })

  test('n answers, whole and streamed', async () => {
    const many = { ...ask, temperature: 1, seed: 3, n: 2 }
    const whole = await client().chat.completions.create(many)
    assert.deepEqual(whole.choices.map((c) => c.index), [0, 1])
    const parts = await collect(await client().chat.completions.create({ ...many, stream: true }))
    for (const i of [0, 1]) {
      const mine = parts.flatMap((p) => p.choices).filter((c) => c.index === i)
      assert.equal(mine.map((c) => c.delta.content ?? '').join(''), whole.choices[i].message.content)
      assert.equal(mine.filter((c) => c.finish_reason).length, 1)
    }
    assert.notEqual(whole.choices[0].message.content, whole.choices[1].message.content)
  })

  test('seed: the same again, and another one differs', async () => {
    const say = async (seed) =>
      (await client().chat.completions.create({ ...ask, max_completion_tokens: 32, temperature: 1.2, seed })).choices[0].message.content
    const first = await say(11)
    assert.equal(await say(11), first)
    assert.notEqual(await say(12), first)
  })

  test('logprobs', async () => {
    const more = { ...ask, max_completion_tokens: 5, logprobs: true, top_logprobs: 2 }
    const whole = await client().chat.completions.create(more)
    const { content } = whole.choices[0].logprobs
    assert.equal(content.length, 5)
    for (const l of content) {
      assert.equal(l.top_logprobs.length, 2)
      assert.equal(l.top_logprobs[0].token, l.token)
      assert.deepEqual([...Buffer.from(l.token)], l.bytes)
    }
    assert.equal(content.map((l) => l.token).join('').trim(), whole.choices[0].message.content.trim())
    const parts = await collect(await client().chat.completions.create({ ...more, stream: true }))
    assert.deepEqual(parts.flatMap((p) => p.choices[0].logprobs?.content ?? []), content)
  })

  test('logit_bias bans a token', async () => {
    const { tokens } = await (await fetch(`${s.url}/tokenize`, { method: 'POST', body: JSON.stringify({ model, content: 'Once' }) })).json()
    const more = { model, prompt: 'Once upon a', temperature: 0, max_tokens: 1, logprobs: 1 }
    const free = await client().completions.create(more)
    const ids = await (await fetch(`${s.url}/tokenize`, { method: 'POST', body: JSON.stringify({ model, content: free.choices[0].text }) })).json()
    assert.ok(tokens.length > 0)
    const banned = await client().completions.create({ ...more, logit_bias: { [ids.tokens[0]]: -100 } })
    assert.notEqual(banned.choices[0].text, free.choices[0].text)
  })

  test('tool_choice: named and required begin a call, none makes none', async () => {
    const base = { model, messages: question, tools, temperature: 0, max_completion_tokens: 80 }
    const named = { type: 'function', function: { name: 'get_time' } }
    for (const tool_choice of [named, 'required']) {
      const whole = await client().chat.completions.create({ ...base, tool_choice })
      const [choice] = whole.choices
      assert.equal(choice.finish_reason, 'tool_calls')
      const calls = choice.message.tool_calls
      assert.ok(calls.length >= 1)
      if (tool_choice === named) assert.equal(calls[0].function.name, 'get_time')
      assert.ok(tools.some((t) => t.function.name === calls[0].function.name))
      assert.equal(typeof JSON.parse(calls[0].function.arguments), 'object')
      const stream = client().chat.completions.stream({ ...base, tool_choice })
      const streamed = (await stream.finalChatCompletion()).choices[0]
      assert.equal(streamed.finish_reason, 'tool_calls')
      assert.deepEqual(streamed.message.tool_calls.map((c) => [c.function.name, c.function.arguments]), calls.map((c) => [c.function.name, c.function.arguments]))
      // its answer, in the forms that clients send
      const after = await client().chat.completions.create({
        ...ask,
        messages: [...question, { role: 'assistant', content: null, tool_calls: calls }, { role: 'tool', tool_call_id: calls[0].id, content: [{ type: 'text', text: 'sunny' }] }],
        tools,
      })
      assert.ok(after.usage.prompt_tokens > whole.usage.prompt_tokens)
    }
    const none = await client().chat.completions.create({ ...base, tool_choice: 'none' })
    assert.equal(none.choices[0].message.tool_calls, undefined)
    assert.notEqual(none.choices[0].finish_reason, 'tool_calls')
  })

  test('developer role, content parts, unknown fields', async () => {
    const say = async (messages, more = {}) => (await client().chat.completions.create({ ...ask, messages, ...more })).choices[0].message.content
    const plain = await say([{ role: 'system', content: 'Be brief.' }, { role: 'user', content: 'Hello, you.' }])
    assert.equal(
      await say(
        [{ role: 'developer', content: [{ type: 'text', text: 'Be brief.' }] }, { role: 'user', content: [{ type: 'text', text: 'Hello,' }, { type: 'text', text: ' you.' }] }],
        { user: 'u', store: false, metadata: { a: 'b' }, service_tier: 'auto', parallel_tool_calls: true },
      ),
      plain,
    )
  })

  test('completions: string, list, tokens, echo, n, logprobs, streamed', async () => {
    const c = client()
    const base = { model, temperature: 0, max_tokens: 6 }
    const one = await c.completions.create({ ...base, prompt: 'Once upon a time' })
    assert.equal(one.usage.completion_tokens, 6)
    const two = await c.completions.create({ ...base, prompt: ['Once upon a time', 'The sea'] })
    assert.deepEqual(two.choices.map((x) => x.index), [0, 1])
    assert.equal(two.choices[0].text, one.choices[0].text)
    const { tokens } = await (await fetch(`${s.url}/tokenize`, { method: 'POST', body: JSON.stringify({ model, content: 'Once upon a time', add_special: true }) })).json()
    for (const prompt of [tokens, [tokens]])
      assert.equal((await c.completions.create({ ...base, prompt })).choices[0].text, one.choices[0].text)
    const echo = await c.completions.create({ ...base, prompt: 'Once upon a time', echo: true })
    assert.equal(echo.choices[0].text, 'Once upon a time' + one.choices[0].text)
    const probs = await c.completions.create({ ...base, prompt: 'Once upon a time', logprobs: 2 })
    assert.equal(probs.choices[0].logprobs.tokens.join(''), one.choices[0].text)
    assert.equal(probs.choices[0].logprobs.token_logprobs.length, 6)
    assert.equal(probs.choices[0].logprobs.text_offset[0], 0)
    const parts = await collect(await c.completions.create({ ...base, prompt: ['Once upon a time', 'The sea'], stream: true, echo: true, stream_options: { include_usage: true } }))
    for (const i of [0, 1]) {
      const text = parts.flatMap((p) => p.choices).filter((x) => x.index === i).map((x) => x.text).join('')
      assert.equal(text, ['Once upon a time', 'The sea'][i] + two.choices[i].text)
    }
    assert.equal(parts.at(-1).usage.completion_tokens, two.usage.completion_tokens)
    assert.equal((await c.completions.create({ model, prompt: 'Once', temperature: 0 })).usage.completion_tokens, 16)
  })

  test('embeddings: base64, as the client asks by default, and numbers', async () => {
    const c = client()
    const input = ['Why is the sky blue?', 'The sea is deep.']
    const base64 = await c.embeddings.create({ model: 'tiny-embed', input })
    const float = await c.embeddings.create({ model: 'tiny-embed', input, encoding_format: 'float' })
    assert.deepEqual(base64.data.map((d) => d.index), [0, 1])
    for (const i of [0, 1]) {
      assert.ok(float.data[i].embedding.length > 8)
      assert.deepEqual([...base64.data[i].embedding], float.data[i].embedding.map(Math.fround))
      assert.ok(Math.abs(Math.hypot(...float.data[i].embedding) - 1) < 1e-5)
    }
    // a model that generates embeds, too
    const own = (await c.embeddings.create({ model, input })).data.map((d) => d.embedding)
    assert.equal(own.length, input.length)
    for (const v of own) assert.ok(Math.abs(Math.hypot(...v) - 1) < 1e-5)
    const raw = await c.embeddings.create({ model: 'tiny-embed', input: input[0], encoding_format: 'base64' })
    assert.deepEqual([...new Float32Array(Uint8Array.from(Buffer.from(raw.data[0].embedding, 'base64')).buffer)], [...base64.data[0].embedding])
    assert.equal((await c.embeddings.create({ model: 'tiny-embed', input: input[0], dimensions: 8 })).data[0].embedding.length, 8)
    assert.ok(float.usage.prompt_tokens > 4)
  })

  test('models', async () => {
    const list = await collect(client().models.list())
    assert.deepEqual(list.map((m) => m.id).sort(), ['hearth-nano:latest', 'tiny-embed:latest'])
    assert.equal((await client().models.retrieve('hearth-nano:latest')).id, 'hearth-nano:latest')
    await assert.rejects(client().models.retrieve('nobody'), OpenAI.NotFoundError)
  })

  test('errors are of the class of their status', async () => {
    const c = client()
    const chat = (more) => c.chat.completions.create({ ...ask, ...more })
    await assert.rejects(chat({ model: 'nobody' }), (e) => e instanceof OpenAI.NotFoundError && /nobody/.test(e.message) && e.code === 'not_found')
    await assert.rejects(chat({ model: 'nobody', stream: true }), OpenAI.NotFoundError)
    for (const more of [
      { messages: [] },
      { messages: [{ role: 'pirate', content: 'x' }] },
      { temperature: 'warm' },
      { max_completion_tokens: 0 },
      { n: 0 },
      { top_logprobs: 99, logprobs: true },
      { tool_choice: 'required' },
      { tools, tool_choice: { type: 'function', function: { name: 'unknown' } } },
      { response_format: { type: 'xml' } },
      { reasoning_effort: 'huge' },
      { logit_bias: { x: 1 } },
    ])
      await assert.rejects(chat(more), (e) => {
        assert.ok(e instanceof OpenAI.BadRequestError, `${JSON.stringify(more)}: ${e}`)
        assert.equal(e.type, 'invalid_request_error')
        return true
      })
    await assert.rejects(chat({ messages: [{ role: 'user', content: 'word '.repeat(6000) }] }), (e) => e instanceof OpenAI.BadRequestError && e.code === 'context_length_exceeded')
    await assert.rejects(chat({ response_format: { type: 'json_object' } }), (e) => e instanceof OpenAI.InternalServerError && e.status === 501)
    await assert.rejects(c.completions.create({ model: 'tiny-embed', prompt: 'x' }), OpenAI.BadRequestError)
  })

  test('abort in the middle of a stream stops the work', async () => {
    for (const n of [1, 2]) {
      const stream = await client().chat.completions.create({ ...ask, max_completion_tokens: 1900, logit_bias: { 2: -100 }, n, stream: true })
      let seen = 0
      for await (const part of stream) {
        assert.ok(part.choices)
        if (++seen === 4) stream.controller.abort()
      }
      assert.ok(seen >= 4)
      await s.idleAgain()
    }
    // an answer that is not streamed
    const controller = new AbortController()
    const whole = client().chat.completions.create({ ...ask, max_completion_tokens: 1900, logit_bias: { 2: -100 } }, { signal: controller.signal })
    setTimeout(() => controller.abort(), 300)
    await assert.rejects(whole, OpenAI.APIUserAbortError)
    await s.idleAgain()
  })

  test('the connection is used again after an error', async () => {
    for (let i = 0; i < 20; i++) {
      if (i % 2) await assert.rejects(client().models.retrieve('nobody'), OpenAI.NotFoundError)
      else await client().models.retrieve('hearth-nano')
    }
  })
})

describe('with keys', () => {
  const s = server({ keys: { all: ['--scope', 'admin'], reader: ['--scope', 'read'], slow: ['--rpm', '1'] } })
  const client = (apiKey) => new OpenAI({ baseURL: `${s.url}/v1`, apiKey, fetch: s.fetch, maxRetries: 0 })

  test('AuthenticationError, PermissionDeniedError, RateLimitError', async () => {
    const tiny = { ...ask, max_completion_tokens: 1 }
    await assert.rejects(client('wrong').models.list(), (e) => e instanceof OpenAI.AuthenticationError && e.code === 'invalid_api_key')
    await assert.rejects(client(s.keys.reader).chat.completions.create(tiny), OpenAI.PermissionDeniedError)
    assert.ok((await collect(client(s.keys.reader).models.list())).length >= 1)
    assert.equal((await client(s.keys.all).chat.completions.create(tiny)).usage.completion_tokens, 1)
    await client(s.keys.slow).chat.completions.create(tiny)
    await assert.rejects(client(s.keys.slow).chat.completions.create({ ...tiny, stream: true }), (e) => {
      assert.ok(e instanceof OpenAI.RateLimitError, String(e))
      assert.equal(e.code, 'rate_limit_exceeded')
      assert.ok(Number(e.headers.get('retry-after')) >= 1)
      return true
    })
  })
})
