// SPDX-License-Identifier: Apache-2.0
//
// push HOST:PORT - prometheus-cpp; see clients.py for what it reads and says.  Its Push() is
// a POST, its PushAdd() a PUT.

#include <prometheus/gateway.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include <iostream>
#include <memory>
#include <string>

static int send(const std::string &host, const std::string &method, const std::string &job, int size)
{
    const std::string::size_type colon = host.rfind(':');
    prometheus::Gateway gateway(host.substr(0, colon), host.substr(colon + 1), job,
                                {{"instance", "db1"}, {"zone", "eu"}});
    auto registry = std::make_shared<prometheus::Registry>();
    prometheus::BuildGauge().Name("rows").Help(std::string(size, 'h')).Register(*registry).Add({}).Set(3);
    gateway.RegisterCollectable(registry);
    if (method == "PUT") {
        return gateway.PushAdd();
    }
    return method == "POST" ? gateway.Push() : gateway.DeleteForInstance();
}

int main(int argc, char **argv)
{
    std::string method, job;
    int size;
    while (argc == 2 && std::cin >> method >> job >> size) {
        const int status = send(argv[1], method, job, size);
        if (status / 100 == 2) {
            std::cout << "ok" << std::endl;
        } else {
            std::cout << "error returns " << status << std::endl;
        }
    }
}
