// A fetch that holds every answer against the schema of its route: bodies, lines and events as they
// come over the wire, before a client has made something of them.
import { setTimeout as sleep } from 'node:timers/promises'
import { shapeOf, validate } from './shapes.mjs'

function events(text) {
  if (text && !text.endsWith('\n\n')) throw new Error('the last event has no end')
  return text
    .split('\n\n')
    .filter((block) => block && !block.startsWith(':'))
    .map((block) => {
      const fields = block.split('\n').map((line) => line.match(/^(event|data): (.*)$/))
      if (fields.some((f) => !f)) throw new Error(`strange line in the event ${block}`)
      const of = (name) => fields.filter((f) => f[1] === name).map((f) => f[2])
      return { event: of('event')[0], data: of('data').join('\n') }
    })
}

function checkEvents(shapes, text) {
  const all = events(text)
  if (shapes.done) {
    if (all.pop()?.data !== '[DONE]') throw new Error('no [DONE] at the end')
  }
  for (const { event, data } of all) {
    const value = JSON.parse(data)
    if (shapes.named && event !== value.type) throw new Error(`event ${event} of type ${value.type}`)
    validate(value.error ? shapes.error : shapes.event, value)
  }
}

function checkLines(shapes, text) {
  if (!text.endsWith('\n')) throw new Error('the last line has no end')
  const all = text.slice(0, -1).split('\n').map((line) => JSON.parse(line))
  const last = all.at(-1)
  all.forEach((value, i) => {
    if (value.error) validate(shapes.error, value)
    else validate(value === last && shapes.last ? shapes.last : shapes.line, value)
    if (i < all.length - 1 && (value.done || value.error)) throw new Error('lines after the last one')
  })
}

function check(shapes, status, type, text) {
  if (status >= 400) validate(shapes.error, JSON.parse(text))
  else if (type.startsWith('application/x-ndjson')) checkLines(shapes, text)
  else if (type.startsWith('text/event-stream')) checkEvents(shapes, text)
  else if (type.startsWith('application/json')) validate(shapes.body, JSON.parse(text))
  else if (text) throw new Error(`content type '${type}'`)
}

export function checkedFetch() {
  const found = []
  let pending = []
  const wrapped = async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input)
    const method = (init?.method ?? (input instanceof Request ? input.method : 'GET')).toUpperCase()
    const res = await fetch(input, init)
    const shapes = shapeOf(method, url.pathname, new Headers(init?.headers))
    if (!res.body || !shapes) {
      if (!shapes) found.push(`no shapes for ${method} ${url.pathname}`)
      return res
    }
    const decoder = new TextDecoder('utf-8', { fatal: true })
    let text = '', settle
    pending.push(new Promise((resolve) => (settle = resolve)))
    const tell = (e) => found.push(`${method} ${url.pathname} ${res.status}: ${e.message}\n${text.slice(0, 2000)}`)
    const copy = new TransformStream({
      transform(chunk, controller) {
        try {
          text += decoder.decode(chunk, { stream: true })
        } catch (e) {
          tell(e)
        }
        controller.enqueue(chunk)
      },
      flush() {
        try {
          check(shapes, res.status, res.headers.get('content-type') ?? '', text)
        } catch (e) {
          tell(e)
        }
        settle()
      },
    })
    // an answer that is given up is not checked
    res.body.pipeTo(copy.writable).catch(() => settle())
    return new Response(copy.readable, { status: res.status, statusText: res.statusText, headers: res.headers })
  }
  return {
    fetch: wrapped,
    async problems() {
      // bodies that a client leaves unread never end
      await Promise.race([Promise.all(pending), sleep(500, null, { ref: false })])
      pending = []
      return found.splice(0)
    },
  }
}
