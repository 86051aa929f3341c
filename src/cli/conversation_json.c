#include "base/json.h"
#include "cli/conversation.h"

static enum status add(struct conversation *c, const json_t *m, struct err *err)
{
    struct str role, content, thinking;
    if (!json_is_object(m))
        return err_set(err, EFORMAT, "message %zu: expected an object", c->n);
    enum status s = json_get_str(m, "role", &role, err);
    if (s == OK)
        s = json_get_str(m, "content", &content, err);
    if (s == OK)
        s = json_get_str(m, "thinking", &thinking, err);
    if (s == OK && (!role.p || !content.p))
        s = err_set(err, EFORMAT, "message %zu: no %s, expected role and content", c->n,
                    role.p ? "content" : "role");
    if (s != OK)
        return err_prefix(err, "message %zu", c->n);
    s = conversation_add(c, role.p, content, err);
    return s == OK ? conversation_set_thinking(c, thinking, err) : s;
}

enum status conversation_load(struct conversation *c, const char *path, struct err *err)
{
    json_t *doc;
    struct conversation loaded = {0};
    enum status s = json_parse_file(&doc, path, (size_t)1 << 30, err);
    if (s != OK)
        return s;
    const json_t *list = json_is_object(doc) ? json_object_get(doc, "messages") : doc;
    if (!json_is_array(list))
        s = err_set(err, EFORMAT, "'%s': expected an array of messages", path);
    for (size_t i = 0; s == OK && i < json_array_size(list); i++)
        s = add(&loaded, json_array_get(list, i), err);
    json_decref(doc);
    if (s != OK) {
        conversation_release(&loaded);
        return s;
    }
    conversation_release(c);
    *c = loaded;
    return OK;
}
