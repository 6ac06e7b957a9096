// SPDX-License-Identifier: Apache-2.0
//
// push.js URL plain|gzip|fetch [DIRECTORY] - prom-client, which npm has installed there, or
// Node's fetch; see clients.py for what it reads and says.

'use strict';

const [base, how, directory] = process.argv.slice(2);
const prom = directory && require(`${directory}/node_modules/prom-client`);

const PUSH = { PUT: 'push', POST: 'pushAdd', DELETE: 'delete' };

function prom_client(method, job, size) {
    const registry = new prom.Registry();
    new prom.Gauge({ name: 'rows', help: 'h'.repeat(size), registers: [registry] }).set(3);
    const options = how === 'gzip' ? { headers: { 'Content-Encoding': 'gzip' } } : {};
    const gateway = new prom.Pushgateway(base, options, registry);
    return gateway[PUSH[method]]({ jobName: job, groupings: { instance: 'db1', zone: 'eu' } });
}

async function fetching(method, job, size) {
    const url = `${base}/metrics/job/${job}/instance/db1/zone/eu`;
    const text = `# HELP rows ${'h'.repeat(size)}\n# TYPE rows gauge\nrows 3\n`;
    const body = method === 'DELETE' ? undefined : text;
    const answer = await fetch(url, { method, body });
    if (!answer.ok) {
        throw new Error(`status ${answer.status}`);
    }
}

async function main() {
    for await (const line of require('readline').createInterface({ input: process.stdin })) {
        const [method, job, size] = line.split(' ');
        try {
            await (how === 'fetch' ? fetching : prom_client)(method, job, Number(size));
            console.log('ok');
        } catch (e) {
            console.log(`error ${e.message}`);
        }
    }
    process.exit(0); // and does not wait for connections that fetch keeps
}

main();
