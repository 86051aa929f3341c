// Writes tests/data/gotmpl_cases.json: what Go's text/template renders from many small templates,
// with Option missingkey=zero and the functions that Ollama adds to Go's own.
//
// Usage: cd tests/data && go run make_gotmpl_cases.go > gotmpl_cases.json
//
// Each row of gotmpl_rows.txt is a template, in which \n is a line break, \t a tab, when they stand
// outside of strings' quotes (a backslash inside of an action is the template's own); every row
// sees the variables of gotmpl_context.json, whose whole numbers are ints. A row that this refuses
// is tried with all numbers as float64, as json.Unmarshal makes them; a row that both refuse is
// recorded with "error".
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"text/template"
)

type row struct {
	Template string  `json:"template"`
	Text     *string `json:"text,omitempty"`
	Error    bool    `json:"error,omitempty"`
}

var funcs = template.FuncMap{
	"json":             func(v any) string { b, _ := json.Marshal(v); return string(b) },
	"currentDate":      func(...string) string { return "2026-11-23" },
	"yesterdayDate":    func(...string) string { return "2026-11-22" },
	"toTypeScriptType": func(any) string { return "any" },
}

// Line breaks and tabs of a row: outside of strings, where the template has escapes of its own.
func unescape(s string) string {
	var out strings.Builder
	var quote byte
	inside := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case !inside && strings.HasPrefix(s[i:], "{{"):
			inside = true
		case inside && quote == 0 && strings.HasPrefix(s[i:], "}}"):
			inside = false
		case inside && quote == 0 && (c == '"' || c == '`' || c == '\''):
			quote = c
		case quote != 0 && quote != '`' && c == '\\' && i+1 < len(s):
			out.WriteByte(c)
			i++
			c = s[i]
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && c == '\\' && i+1 < len(s):
			i++
			c = map[byte]byte{'n': '\n', 't': '\t', '\\': '\\'}[s[i]]
		}
		out.WriteByte(c)
	}
	return out.String()
}

func withInts(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return int(i)
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = withInts(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = withInts(v[k])
		}
	}
	return v
}

func render(source string, context any) (string, error) {
	t, err := template.New("").Option("missingkey=zero").Funcs(funcs).Parse(source)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = t.Execute(&out, context)
	return out.String(), err
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	text, err := os.ReadFile("gotmpl_context.json")
	check(err)
	var ints, floats any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	check(decoder.Decode(&ints))
	check(json.Unmarshal(text, &floats))
	ints = withInts(ints)

	file, err := os.Open("gotmpl_rows.txt")
	check(err)
	rows := []row{}
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		r := row{Template: unescape(scanner.Text())}
		out, err := render(r.Template, ints)
		if err != nil {
			out, err = render(r.Template, floats)
		}
		if err != nil {
			r.Error = true
			os.Stderr.WriteString(err.Error() + "\n")
		} else {
			r.Text = &out
		}
		rows = append(rows, r)
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	check(encoder.Encode(rows))
}
