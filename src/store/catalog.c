#include "store/catalog.h"

#define MODEL(name_, ollama_, hf_, shape_, licence_, ctx_, uses_)                                  \
    {.name = name_,                                                                                \
     .ollama = ollama_,                                                                            \
     .hf = hf_,                                                                                    \
     .shape = shape_,                                                                              \
     .licence = licence_,                                                                          \
     .trained_ctx = ctx_,                                                                          \
     .uses = uses_},
const struct catalog_model catalog[] = {
#include "store/catalog.def"
    {.name = NULL},
};
#undef MODEL

const char *catalog_use_name(int i)
{
    static const char *const names[] = {"prototyping", "production", "constrained devices", "code",
                                        "classification"};
    return i >= 0 && (size_t)i < sizeof names / sizeof *names ? names[i] : NULL;
}
