// A job of either suite written from docs/format.md, and the conformance kit; see examples/README.md.
//
//	job run client.properties people.csv out/
//	job kit [FOLDER]
package main

import (
	"fmt"
	"os"
)

func main() {
	err := fmt.Errorf("usage: job run SETTINGS RECORDS OUT, or job kit [FOLDER]")
	switch arguments := os.Args[1:]; {
	case len(arguments) == 4 && arguments[0] == "run":
		err = run(arguments[1], arguments[2], arguments[3])
	case len(arguments) == 1 && arguments[0] == "kit":
		err = kit("docs/vectors/kit")
	case len(arguments) == 2 && arguments[0] == "kit":
		err = kit(arguments[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
}
