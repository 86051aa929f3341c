// What each route answers with, as JSON Schemas. Ollama's are those of its published OpenAPI document
// (docs/openapi.yaml of its repository), with what its server always sends required and Hearth's own
// additions named; OpenAI's and Anthropic's follow their API references. Nothing else may appear: an
// unexpected field fails.
import Ajv from 'ajv'

const ajv = new Ajv({ strict: true, allErrors: true, allowUnionTypes: true })
const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/

const string = { type: 'string' }
const filled = { type: 'string', minLength: 1 }
const time = { type: 'string', pattern: isoTime.source }
const boolean = { type: 'boolean' }
const number = { type: 'number' }
const integer = { type: 'integer' }
const count = { type: 'integer', minimum: 0 }
const positive = { type: 'integer', minimum: 1 } // durations: clients take 0 for absent
const nil = { type: 'null' }
const anyObject = { type: 'object' }
const list = (items, more = {}) => ({ type: 'array', items, ...more })
const constant = (value) => ({ const: value })
const oneOf = (...values) => ({ enum: values })
const maybe = (schema) => ({ anyOf: [schema, nil] })
// exactly these: required ones, then optional ones
const object = (required, optional = {}) => ({
  type: 'object',
  properties: { ...required, ...optional },
  required: Object.keys(required),
  additionalProperties: false,
})
const bytes = list({ type: 'integer', minimum: 0, maximum: 255 })

// ---- Ollama ----
const ollamaToken = { token: string, logprob: { type: 'number', maximum: 0 }, bytes }
const ollamaLogprobs = list(object(ollamaToken, { top_logprobs: list(object(ollamaToken)) }))
const ollamaCall = object(
  { function: object({ name: filled, arguments: anyObject }, { index: count }) },
  { id: filled },
)
const ollamaMessage = object(
  { role: constant('assistant'), content: string },
  { thinking: filled, tool_calls: list(ollamaCall, { minItems: 1 }) },
)
const ollamaHead = { model: filled, created_at: time }
const ollamaCounts = {
  done: constant(true),
  done_reason: oneOf('stop', 'length'),
  total_duration: positive,
  load_duration: positive,
  prompt_eval_count: positive,
  prompt_eval_duration: positive,
  eval_count: positive,
  eval_duration: positive,
}
const ollamaOurs = { prompt_eval_cached_count: count, truncated_messages: positive }
const loaded = { done: constant(true), done_reason: oneOf('load', 'unload') }
const generated = { ...ollamaHead, response: string }
const context = list(count, { minItems: 1 })
const details = object(
  {
    parent_model: string,
    format: filled,
    family: filled,
    families: list(filled),
    parameter_size: filled,
    quantization_level: filled,
  },
  { context_length: positive, embedding_length: positive },
)
const capabilities = list(oneOf('completion', 'tools', 'insert', 'embedding', 'thinking'), { uniqueItems: true })
const digest = { type: 'string', pattern: '^[0-9a-f]{64}$' }
const ollamaError = object({ error: filled })
const progress = object({ status: filled }, { digest: filled, total: count, completed: count })

const ollama = {
  generate: {
    body: {
      anyOf: [
        object({ ...generated, ...ollamaCounts }, { ...ollamaOurs, context, logprobs: ollamaLogprobs, thinking: filled, tool_calls: list(ollamaCall) }),
        object({ ...generated, ...loaded }),
      ],
    },
    line: object({ ...generated, done: constant(false) }, { thinking: filled, logprobs: ollamaLogprobs, tool_calls: list(ollamaCall) }),
    last: object({ ...generated, response: constant(''), ...ollamaCounts }, { ...ollamaOurs, context }),
  },
  chat: {
    body: {
      anyOf: [
        object({ ...ollamaHead, message: ollamaMessage, ...ollamaCounts }, { ...ollamaOurs, logprobs: ollamaLogprobs }),
        object({ ...ollamaHead, message: ollamaMessage, ...loaded }),
      ],
    },
    line: object({ ...ollamaHead, message: ollamaMessage, done: constant(false) }, { logprobs: ollamaLogprobs }),
    last: object({ ...ollamaHead, message: object({ role: constant('assistant'), content: constant('') }), ...ollamaCounts }, ollamaOurs),
  },
  version: { body: object({ version: { type: 'string', pattern: '^\\d+\\.\\d+\\.\\d+' } }) },
  tags: {
    body: object({
      models: list(object({ name: filled, model: filled, modified_at: time, size: positive, digest, details }, { capabilities })),
    }),
  },
  ps: {
    body: object({
      models: list(
        object(
          { name: filled, model: filled, size: positive, digest, details, expires_at: time, size_vram: count, context_length: positive },
          { requests: count },
        ),
      ),
    }),
  },
  show: {
    body: object(
      { license: string, modelfile: filled, parameters: string, template: string, details, model_info: anyObject, capabilities, modified_at: time },
      {
        system: filled,
        messages: list(anyObject),
        template_source: filled,
        tensors: list(object({ name: filled, type: filled, shape: list(positive) })),
      },
    ),
  },
  embed: {
    body: object({
      model: filled,
      embeddings: list(list(number, { minItems: 1 })),
      total_duration: positive,
      load_duration: positive,
      prompt_eval_count: count,
    }),
  },
  embeddings: { body: object({ embedding: list(number) }) },
  create: { body: object({ status: constant('success') }), line: progress, last: object({ status: constant('success') }) },
  pull: { body: object({ status: constant('success') }), line: progress },
  empty: { body: false },
}

// ---- OpenAI ----
const openaiToken = { token: string, bytes, logprob: { type: 'number', maximum: 0 } }
const openaiLogprobs = maybe(
  object({ content: list(object({ ...openaiToken, top_logprobs: list(object(openaiToken)) })) }, { refusal: nil }),
)
const usage = object({
  prompt_tokens: count,
  completion_tokens: count,
  total_tokens: count,
  prompt_tokens_details: object({ cached_tokens: count }),
})
const openaiHead = (id, kind) => ({
  id: { type: 'string', pattern: `^${id}-` },
  object: constant(kind),
  created: positive,
  model: filled,
  system_fingerprint: filled,
})
const finish = oneOf('stop', 'length', 'tool_calls')
const openaiCall = { id: filled, type: constant('function'), function: object({ name: filled, arguments: filled }) }
const reasoning = { reasoning: filled, reasoning_content: filled }
const textLogprobs = maybe(
  object({ tokens: list(string), token_logprobs: list({ type: 'number', maximum: 0 }), top_logprobs: list(anyObject), text_offset: list(count) }),
)
const textChoice = (finished) => object({ index: count, text: string, logprobs: textLogprobs, finish_reason: finished })
const openaiModel = object({ id: filled, object: constant('model'), created: positive, owned_by: filled })
const openaiError = object({
  error: object({
    message: filled,
    type: oneOf('invalid_request_error', 'requests', 'server_error'),
    param: maybe(string),
    code: maybe(filled),
  }),
})

const openai = {
  chat: {
    done: true,
    body: object({
      ...openaiHead('chatcmpl', 'chat.completion'),
      choices: list(
        object({
          index: count,
          message: object(
            { role: constant('assistant'), content: maybe(string), refusal: nil },
            { ...reasoning, tool_calls: list(object(openaiCall), { minItems: 1 }) },
          ),
          logprobs: openaiLogprobs,
          finish_reason: finish,
        }),
        { minItems: 1 },
      ),
      usage,
    }),
    event: object(
      {
        ...openaiHead('chatcmpl', 'chat.completion.chunk'),
        choices: list(
          object(
            {
              index: count,
              delta: object({}, { role: constant('assistant'), content: string, ...reasoning, tool_calls: list(object({ index: count, ...openaiCall })) }),
              finish_reason: maybe(finish),
            },
            { logprobs: openaiLogprobs },
          ),
        ),
      },
      { usage: maybe(usage) },
    ),
  },
  completions: {
    done: true,
    body: object({ ...openaiHead('cmpl', 'text_completion'), choices: list(textChoice(oneOf('stop', 'length')), { minItems: 1 }), usage }),
    event: object(
      { ...openaiHead('cmpl', 'text_completion'), choices: list(textChoice(maybe(oneOf('stop', 'length')))) },
      { usage: maybe(usage) },
    ),
  },
  embeddings: {
    body: object({
      object: constant('list'),
      data: list(object({ object: constant('embedding'), index: count, embedding: { anyOf: [filled, list(number, { minItems: 1 })] } })),
      model: filled,
      usage: object({ prompt_tokens: count, total_tokens: count }),
    }),
  },
  models: { body: object({ object: constant('list'), data: list(openaiModel) }) },
  model: { body: openaiModel },
}

// ---- Anthropic ----
const anthropicUsage = object({
  input_tokens: count,
  cache_creation_input_tokens: count,
  cache_read_input_tokens: count,
  output_tokens: count,
})
const toolUse = object({ type: constant('tool_use'), id: filled, name: filled, input: anyObject })
const block = {
  anyOf: [
    object({ type: constant('text'), text: string }),
    object({ type: constant('thinking'), thinking: string, signature: string }),
    toolUse,
  ],
}
const stopped = { stop_reason: oneOf('end_turn', 'max_tokens', 'tool_use', 'stop_sequence'), stop_sequence: maybe(filled) }
const message = (content, end) =>
  object({ id: { type: 'string', pattern: '^msg_' }, type: constant('message'), role: constant('assistant'), model: filled, content, ...end, usage: anthropicUsage })
const event = (type, rest = {}) => object({ type: constant(type), ...rest })
const deltas = {
  anyOf: [
    object({ type: constant('text_delta'), text: filled }),
    object({ type: constant('thinking_delta'), thinking: filled }),
    object({ type: constant('input_json_delta'), partial_json: string }),
  ],
}
const anthropicModel = object({ type: constant('model'), id: filled, display_name: filled, created_at: time })
const anthropicError = object({
  type: constant('error'),
  error: object({
    type: oneOf('invalid_request_error', 'authentication_error', 'permission_error', 'not_found_error', 'request_too_large', 'rate_limit_error', 'api_error', 'overloaded_error'),
    message: filled,
  }),
  request_id: filled,
})

const anthropic = {
  messages: {
    named: true,
    body: message(list(block, { minItems: 1 }), stopped),
    event: {
      anyOf: [
        event('message_start', { message: message(list(block, { maxItems: 0 }), { stop_reason: nil, stop_sequence: nil }) }),
        event('ping'),
        event('content_block_start', { index: count, content_block: block }),
        event('content_block_delta', { index: count, delta: deltas }),
        event('content_block_stop', { index: count }),
        event('message_delta', { delta: object(stopped), usage: anthropicUsage }),
        event('message_stop'),
      ],
    },
  },
  count: { body: object({ input_tokens: positive }) },
  models: { body: object({ data: list(anthropicModel), has_more: boolean, first_id: maybe(filled), last_id: maybe(filled) }) },
  model: { body: anthropicModel },
}

// ---- which route has which ----
const routes = [
  ['POST /api/generate', ollama.generate, ollamaError],
  ['POST /api/chat', ollama.chat, ollamaError],
  ['GET /api/version', ollama.version, ollamaError],
  ['GET /api/tags', ollama.tags, ollamaError],
  ['GET /api/ps', ollama.ps, ollamaError],
  ['POST /api/show', ollama.show, ollamaError],
  ['POST /api/embed', ollama.embed, ollamaError],
  ['POST /api/embeddings', ollama.embeddings, ollamaError],
  ['POST /api/create', ollama.create, ollamaError],
  ['POST /api/pull', ollama.pull, ollamaError],
  ['POST /api/copy', ollama.empty, ollamaError],
  ['DELETE /api/delete', ollama.empty, ollamaError],
  ['POST /v1/systemone', ollama.empty, openaiError],
  ['POST /v1/chat/completions', openai.chat, openaiError],
  ['POST /v1/completions', openai.completions, openaiError],
  ['POST /v1/embeddings', openai.embeddings, openaiError],
  ['POST /v1/messages/count_tokens', anthropic.count, anthropicError],
  ['POST /v1/messages', anthropic.messages, anthropicError],
]
const compiled = new Map()

export function shapeOf(method, path, headers) {
  const models = path.match(/^\/v1\/models(\/.+)?$/)
  if (method === 'GET' && models) {
    const [of, error] = headers.has('anthropic-version') ? [anthropic, anthropicError] : [openai, openaiError]
    return { ...(models[1] ? of.model : of.models), error }
  }
  const row = routes.find(([route]) => route === `${method} ${path}`)
  return row && { ...row[1], error: row[2] }
}

export function validate(schema, value) {
  if (schema === undefined) throw new Error('this route has no answer of this form')
  if (!compiled.has(schema)) compiled.set(schema, ajv.compile(schema))
  const fits = compiled.get(schema)
  if (!fits(value))
    throw new Error(`${ajv.errorsText(fits.errors.slice(0, 8))}\n${JSON.stringify(value).slice(0, 1500)}`)
}
