// Writes tests/data/gotmpl_chats_rendered.json: what Ollama renders from our own templates
// (gotmpl_chats/*.gotmpl) for the conversations of gotmpl_chats.json, as {template: [text, ...]};
// null where it refuses.
//
// Usage: inside Ollama's source tree (it is its Go module that is imported; made with fb30760),
// go run /path/to/make_gotmpl_chats.go /path/to/tests/data > gotmpl_chats_rendered.json
package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/ollama/ollama/api"
	"github.com/ollama/ollama/template"
)

type chat struct {
	Messages []api.Message `json:"messages"`
	Tools    api.Tools     `json:"tools"`
	Think    *bool         `json:"think"`
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func render(t *template.Template, c chat) *string {
	v := template.Values{Messages: c.Messages, Tools: c.Tools}
	if c.Think != nil {
		v.Think, v.IsThinkSet = *c.Think, true
	}
	var out bytes.Buffer
	if err := t.Execute(&out, v); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		return nil
	}
	text := out.String()
	return &text
}

func main() {
	text, err := os.ReadFile(filepath.Join(os.Args[1], "gotmpl_chats.json"))
	check(err)
	files, err := filepath.Glob(filepath.Join(os.Args[1], "gotmpl_chats", "*.gotmpl"))
	check(err)
	rendered := map[string][]*string{}
	for _, file := range files {
		source, err := os.ReadFile(file)
		check(err)
		t, err := template.Parse(string(source))
		check(err)
		var chats []chat // anew: rendering changes the messages
		check(json.Unmarshal(text, &chats))
		name := filepath.Base(file)
		for _, c := range chats {
			rendered[name] = append(rendered[name], render(t, c))
		}
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	check(encoder.Encode(rendered))
}
