/* The tables: tokenizer.ggml.pre names to sequences of splitters, and published regexes to the
 * splitter that does the same. A new pre-tokenizer is a row here and a function in split*.c. */
#include "text/split_chars.h"

/* The names and their flags are those that llama.cpp's converter writes. */
static const struct split_recipe recipes[] = {
    {.name = "default", .stage = {split_default_punct, split_gpt2, split_numbers, split_three}},
    {.name = "gpt-2", .stage = {split_gpt2}},
    {.name = "phi-2", .stage = {split_gpt2}},
    {.name = "mpt", .stage = {split_gpt2}},
    {.name = "olmo", .stage = {split_gpt2}},
    {.name = "jais", .stage = {split_gpt2}},
    {.name = "trillion", .stage = {split_gpt2}},
    {.name = "granite-docling", .stage = {split_gpt2}},
    {.name = "exaone4", .stage = {split_gpt2}},
    {.name = "jina-es", .stage = {split_gpt2}},
    {.name = "jina-de", .stage = {split_gpt2}},
    {.name = "jina-v2-es", .stage = {split_gpt2}},
    {.name = "jina-v2-de", .stage = {split_gpt2}},
    {.name = "gigachat", .stage = {split_gpt2}},
    {.name = "a.x-4.0", .stage = {split_gpt2}},
    {.name = "mellum", .stage = {split_gpt2}},
    {.name = "modern-bert", .stage = {split_gpt2}},
    {.name = "jina-v1-en", .stage = {split_gpt2}, .add_sep = true},
    {.name = "jina-v2-code", .stage = {split_gpt2}, .add_sep = true},
    {.name = "roberta-bpe", .stage = {split_gpt2}, .add_sep = true},
    {.name = "llama-bpe", .stage = {split_llama3}, .ignore_merges = true, .add_bos = true},
    {.name = "llama3", .stage = {split_llama3}, .ignore_merges = true, .add_bos = true},
    {.name = "llama-v3", .stage = {split_llama3}, .ignore_merges = true, .add_bos = true},
    {.name = "falcon3", .stage = {split_llama3}, .ignore_merges = true, .add_bos = true},
    {.name = "falcon-h1", .stage = {split_llama3}, .ignore_merges = true, .add_bos = true},
    {.name = "pixtral", .stage = {split_llama3}, .ignore_merges = true, .add_bos = true},
    {.name = "midm-2.0", .stage = {split_llama3}, .ignore_merges = true, .add_bos = true},
    {.name = "lfm2", .stage = {split_llama3}, .ignore_merges = true, .add_bos = true},
    {.name = "jina-v5-nano", .stage = {split_llama3}, .ignore_merges = true, .add_bos = true},
    {.name = "smaug-bpe", .stage = {split_llama3}},
    {.name = "dbrx", .stage = {split_llama3}},
    {.name = "glm4", .stage = {split_llama3}},
    {.name = "chatglm-bpe", .stage = {split_llama3}},
    {.name = "minicpm5", .stage = {split_numbers3, split_cl100k_numbers}, .ignore_merges = true},
    {.name = "qwen2", .stage = {split_qwen2}},
    {.name = "deepseek-r1-qwen", .stage = {split_qwen2}},
    {.name = "kormo", .stage = {split_qwen2}},
    {.name = "f2llmv2", .stage = {split_qwen2}},
    {.name = "megrez", .stage = {split_qwen2}},
    {.name = "stablelm2", .stage = {split_qwen2}},
    {.name = "hunyuan", .stage = {split_qwen2}},
    {.name = "solar-open", .stage = {split_qwen2}},
    {.name = "grok-2", .stage = {split_qwen2}},
    {.name = "qwen35", .stage = {split_qwen35}},
    {.name = "ufakzeka", .stage = {split_ufakzeka}},
    {.name = "smollm", .stage = {split_digits, split_gpt2}},
    {.name = "starcoder", .stage = {split_digits, split_gpt2}},
    {.name = "refact", .stage = {split_digits, split_gpt2}},
    {.name = "command-r", .stage = {split_digits, split_gpt2}},
    {.name = "codeshell", .stage = {split_digits, split_gpt2}},
    {.name = "exaone", .stage = {split_digits, split_gpt2}},
    {.name = "minerva-7b", .stage = {split_digits, split_gpt2}},
    {.name = "mellum2", .stage = {split_digits, split_gpt2}},
    {.name = "falcon", .stage = {split_falcon_punct, split_gpt2, split_three}},
    {.name = "deepseek-llm",
     .stage = {split_line_ends, split_deepseek_words, split_deepseek_punct, split_trailing_space,
               split_deepseek_cjk, split_numbers}},
    {.name = "deepseek-coder",
     .stage = {split_line_ends, split_letters, split_puncts, split_deepseek_cjk, split_digits}},
    {.name = "deepseek-v3", .stage = {split_numbers3, split_han_kana, split_deepseek3}},
    {.name = "hunyuan-dense", .stage = {split_numbers3, split_han_kana, split_deepseek3}},
    {.name = "joyai-llm", .stage = {split_numbers3, split_han_kana, split_deepseek3}},
    {.name = "hy_v4", .stage = {split_numbers3, split_han_kana, split_deepseek3}},
    {.name = "tekken", .stage = {split_tekken}, .ignore_merges = true, .add_bos = true},
    {.name = "gpt-4o", .stage = {split_o200k}},
    {.name = "llama4", .stage = {split_o200k}},
    {.name = "kanana2", .stage = {split_o200k}},
    {.name = "talkie", .stage = {split_o200k}},
    {.name = "minimax-m2", .stage = {split_o200k}},
    {.name = "bloom", .stage = {split_bloom}},
    {.name = "gpt3-finnish", .stage = {split_bloom}},
    {.name = "poro-chat", .stage = {split_bloom}},
    {.name = "viking", .stage = {split_bloom, split_digits}},
};

const struct split_recipe *split_find(struct str name)
{
    if (name.n == 0)
        return &recipes[0];
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++)
        if (str_is(name, recipes[i].name))
            return &recipes[i];
    return NULL;
}

const struct split_recipe *split_find_stages(split_fn *const *stage)
{
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++) {
        size_t k = 0;
        while (k < SPLIT_STAGES && stage[k] && stage[k] == recipes[i].stage[k])
            k++;
        if (k > 0 && !stage[k] && (k == SPLIT_STAGES || !recipes[i].stage[k]))
            return &recipes[i];
    }
    return NULL;
}

#define CONTRACTIONS   "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define CL100K_TAIL(s) "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n" s "]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define UPPER          "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER          "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define PREFIX         "[^\\r\\n\\p{L}\\p{N}]?"

static const struct {
    const char *regex;
    split_fn *fn;
} known[] = {
    {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
     split_gpt2},
    {CONTRACTIONS "|" PREFIX "\\p{L}+|\\p{N}{1,3}" CL100K_TAIL(""), split_llama3},
    {CONTRACTIONS "|" PREFIX "\\p{L}+|\\p{N}" CL100K_TAIL(""), split_qwen2},
    {CONTRACTIONS "|" PREFIX "[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*"
                  "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     split_qwen35},
    {CONTRACTIONS "|" PREFIX "\\p{L}+|\\p{N}+" CL100K_TAIL(""), split_cl100k_numbers},
    {PREFIX "\\p{L}+|\\p{N}" CL100K_TAIL(""), split_ufakzeka},
    {PREFIX UPPER "*" LOWER "+|" PREFIX UPPER "+" LOWER "*|\\p{N}" CL100K_TAIL("/"), split_tekken},
    {PREFIX UPPER "*" LOWER "+" CONTRACTIONS "?|" PREFIX UPPER "+" LOWER "*" CONTRACTIONS
                  "?|\\p{N}{1,3}" CL100K_TAIL("/"),
     split_o200k},
    {"\\p{N}", split_digits},
    {"\\p{N}+", split_numbers},
    {"\\p{N}{1,3}", split_numbers3},
    {"[0-9][0-9][0-9]", split_three},
    {"[\\r\\n]", split_line_ends},
    {"[\r\n]", split_line_ends},
    {"[\\p{P}\\$\\+<=>\\^~\\|`]+", split_falcon_punct},
    {"[\\p{P}\\$\\+<=>\\^~\\|]+", split_default_punct},
    {"\\s?\\p{L}+", split_letters},
    {"\\s?\\p{P}+", split_puncts},
    {"[\xe4\xb8\x80-\xe9\xbe\xa5\xe0\xa0\x80-\xe4\xb8\x80\xea\xb0\x80-\xed\x9f\xbf]+",
     split_deepseek_cjk},
    {"[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+",
     split_han_kana},
    {"[!\"#$%&'()*+,\\-./"
     ":;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
     "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
     split_deepseek3},
    {" ?[^(\\s|.,!?\xe2\x80\xa6\xe3\x80\x82\xef\xbc\x8c\xe3\x80\x81\xe0\xa5\xa4\xdb\x94\xd8\x8c)]+",
     split_bloom},
};

split_fn *split_for_regex(struct str regex)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (str_is(regex, known[i].regex))
            return known[i].fn;
    return NULL;
}

const char *split_known_regex(size_t i, split_fn **fn)
{
    if (i >= sizeof known / sizeof *known)
        return NULL;
    *fn = known[i].fn;
    return known[i].regex;
}

bool split_takes_all(split_fn *fn)
{
    return fn == split_gpt2 || fn == split_llama3 || fn == split_qwen2 || fn == split_qwen35 ||
           fn == split_cl100k_numbers || fn == split_ufakzeka || fn == split_tekken ||
           fn == split_o200k;
}
