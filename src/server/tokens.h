/* What none of the three dialects has: tokens, prompts, ranking. Errors are worded as Ollama's. */
#pragma once
#include "server/http.h"

/* {model, content | prompt, add_special, parse_special, with_pieces} -> {tokens: [...]} */
handler_fn tokens_tokenize;
/* {model, tokens} -> {content} */
handler_fn tokens_detokenize;
/* {model, messages, tools, think} -> {prompt, tokens: n} */
handler_fn tokens_apply_template;
/* {model, query, documents, top_n, return_documents} -> {results: [{index, relevance_score}]}, as
 * Jina's and Cohere's clients read it. */
handler_fn tokens_rerank;
