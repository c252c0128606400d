// Renders a Helm chart as Helm does: with Go's own templates and sprig, both from Debian (golang-go,
// golang-github-masterminds-sprig-dev, golang-k8s-sigs-yaml-dev). There is no Helm in Debian.
//
//	go run main.go CHART RELEASE NAMESPACE < values.json
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

type values = map[string]interface{}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(file string, into interface{}) {
	text, err := os.ReadFile(file)
	must(err)
	must(yaml.Unmarshal(text, into))
}

// merge lays given values over defaults, maps by their keys, as Helm does; null takes a key away.
func merge(defaults, given values) values {
	for key, value := range given {
		inner, isMap := value.(values)
		outer, wasMap := defaults[key].(values)
		switch {
		case value == nil:
			delete(defaults, key)
		case isMap && wasMap:
			defaults[key] = merge(outer, inner)
		default:
			defaults[key] = value
		}
	}
	return defaults
}

func functions(root *template.Template) template.FuncMap {
	all := sprig.TxtFuncMap()
	// Helm has neither: a chart must not read the machine's environment.
	delete(all, "env")
	delete(all, "expandenv")
	all["include"] = func(name string, data interface{}) (string, error) {
		var out bytes.Buffer
		err := root.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	all["required"] = func(message string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return nil, errors.New(message)
		}
		return value, nil
	}
	all["toYaml"] = func(value interface{}) (string, error) {
		text, err := yaml.Marshal(value)
		return strings.TrimSuffix(string(text), "\n"), err
	}
	return all
}

func main() {
	chart, release, namespace := os.Args[1], os.Args[2], os.Args[3]
	var meta struct{ Name, Version, AppVersion string }
	read(filepath.Join(chart, "Chart.yaml"), &meta)
	all := values{}
	read(filepath.Join(chart, "values.yaml"), &all)
	text, err := io.ReadAll(os.Stdin)
	must(err)
	given := values{}
	must(yaml.Unmarshal(text, &given))
	all = merge(all, given)

	root := template.New("chart").Option("missingkey=zero")
	root.Funcs(functions(root))
	files, err := filepath.Glob(filepath.Join(chart, "templates", "*"))
	must(err)
	sort.Strings(files)
	for _, file := range files {
		source, err := os.ReadFile(file)
		must(err)
		_, err = root.New(filepath.Base(file)).Parse(string(source))
		must(err)
	}
	data := values{
		"Values":  all,
		"Chart":   meta,
		"Release": values{"Name": release, "Namespace": namespace, "Service": "Helm", "IsInstall": true, "IsUpgrade": false, "Revision": 1},
	}
	for _, file := range files {
		if strings.HasPrefix(filepath.Base(file), "_") {
			continue
		}
		var out bytes.Buffer
		must(root.ExecuteTemplate(&out, filepath.Base(file), data))
		for _, document := range strings.Split("\n"+out.String(), "\n---") {
			if strings.TrimSpace(document) != "" {
				fmt.Printf("---\n# %s\n%s\n", filepath.Base(file), strings.TrimSpace(document))
			}
		}
	}
}
