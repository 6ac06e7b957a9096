// SPDX-License-Identifier: Apache-2.0
//
// push.js URL core|fetch|gzip - Node's http as prom-client uses it (chunked; only an answer
// of 400 and more is an error), or its fetch; see clients.py for what it reads and says.

'use strict';
const http = require('http');
const zlib = require('zlib');

const [base, how] = process.argv.slice(2);

function core(method, url, text) {
    return new Promise((resolve, reject) => {
        const request = http.request(url, { method }, (answer) => {
            answer.on('end', () => {
                if (answer.statusCode >= 400) {
                    reject(new Error(`push failed with status ${answer.statusCode}`));
                } else {
                    resolve();
                }
            });
            answer.resume();
        });
        request.on('error', reject);
        if (method === 'DELETE') {
            request.end();
            return;
        }
        if (how === 'gzip') {
            request.setHeader('Content-Encoding', 'gzip');
        }
        request.write(how === 'gzip' ? zlib.gzipSync(text) : text);
        request.end();
    });
}

async function fetching(method, url, text) {
    const body = method === 'DELETE' ? undefined : text;
    const answer = await fetch(url, { method, body });
    if (!answer.ok) {
        throw new Error(`status ${answer.status}`);
    }
}

async function main() {
    for await (const line of require('readline').createInterface({ input: process.stdin })) {
        const [method, job, size] = line.split(' ');
        const text = `# HELP rows ${'h'.repeat(size)}\n# TYPE rows gauge\nrows 3\n`;
        const url = `${base}/metrics/job/${job}/instance/db1/zone/eu`;
        try {
            await (how === 'fetch' ? fetching : core)(method, url, text);
            console.log('ok');
        } catch (e) {
            console.log(`error ${e.message}`);
        }
    }
    process.exit(0); // and does not wait for connections that fetch keeps
}

main();
