/* The commands: one function each, in cmd_*.c. They return a status; main turns it into the exit
 * code and the message. */
#pragma once
#include "cli/options.h"

enum status cmd_run(const struct options *o, struct err *err);
enum status cmd_create(const struct options *o, struct err *err);
enum status cmd_list(const struct options *o, struct err *err);
enum status cmd_show(const struct options *o, struct err *err);
enum status cmd_cp(const struct options *o, struct err *err);
enum status cmd_rm(const struct options *o, struct err *err);
enum status cmd_generate(const struct options *o, struct err *err);
enum status cmd_logits(const struct options *o, struct err *err);
enum status cmd_tokenize(const struct options *o, struct err *err);
enum status cmd_detokenize(const struct options *o, struct err *err);
enum status cmd_template(const struct options *o, struct err *err);
enum status cmd_classify(const struct options *o, struct err *err);
enum status cmd_embed(const struct options *o, struct err *err);
enum status cmd_inspect(const struct options *o, struct err *err);
enum status cmd_quantize(const struct options *o, struct err *err);
enum status cmd_imatrix(const struct options *o, struct err *err);
enum status cmd_perplexity(const struct options *o, struct err *err);
enum status cmd_synth(const struct options *o, struct err *err);
enum status cmd_bench(const struct options *o, struct err *err);
enum status cmd_serve(const struct options *o, struct err *err);
enum status cmd_key(const struct options *o, struct err *err);
enum status cmd_ps(const struct options *o, struct err *err);
enum status cmd_stop(const struct options *o, struct err *err);
enum status cmd_batch(const struct options *o, struct err *err);
enum status cmd_fit(const struct options *o, struct err *err);
enum status cmd_doctor(const struct options *o, struct err *err);
enum status cmd_completion(const struct options *o, struct err *err);
enum status cmd_docs(const struct options *o, struct err *err);
enum status cmd_pull(const struct options *o, struct err *err);
enum status cmd_push(const struct options *o, struct err *err);
enum status cmd_help(const struct options *o, struct err *err);
enum status cmd_version(const struct options *o, struct err *err);
