// SPDX-License-Identifier: Apache-2.0

// push URL - client_golang; see clients.py for what it reads and says.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
)

func send(method, job string, size int) error {
	rows := prometheus.NewGauge(prometheus.GaugeOpts{Name: "rows", Help: strings.Repeat("h", size)})
	rows.Set(3)
	pusher := push.New(os.Args[1], job).Collector(rows).
		Grouping("instance", "db1").Grouping("zone", "eu")
	switch method {
	case "PUT":
		return pusher.Push()
	case "POST":
		return pusher.Add()
	}
	return pusher.Delete()
}

func main() {
	var method, job string
	var size int
	for {
		if n, _ := fmt.Scanln(&method, &job, &size); n != 3 {
			return
		}
		if err := send(method, job, size); err != nil {
			fmt.Printf("error %q\n", err.Error())
		} else {
			fmt.Println("ok")
		}
	}
}
