// SPDX-License-Identifier: Apache-2.0
// What Node's own parser (llhttp, strict as it comes) reads out of the same cases; the same lines
// of JSON as weir_parse prints.
'use strict';
process.removeAllListeners('warning');
const binding = process.binding('http_parser');
const {HTTPParser} = binding;
const methods = binding.allMethods || binding.methods;
const hex = (text) => Buffer.from(text, 'latin1').toString('hex');

function pairs(flat) {
  const list = [];
  for (let i = 0; flat && i < flat.length; i += 2)
    list.push({name: hex(flat[i]), value: hex(flat[i + 1])});
  return list;
}

function read(bytes) {
  const messages = [];
  // Behind a request that closes, some versions refuse to read and others read on.
  let current = null, early = [], earlyUrl = '', closed = false;
  const parser = new HTTPParser();
  parser.initialize(HTTPParser.REQUEST, {}, 1 << 20, 0);
  // Fields come here when there are many of them or when they are trailers.
  parser[HTTPParser.kOnHeaders] = (fields, url) => {
    if (current && current.open) {
      current.trailers.push(...pairs(fields));
    } else {
      early.push(...pairs(fields));
      earlyUrl += url;
    }
  };
  parser[HTTPParser.kOnHeadersComplete] =
      (major, minor, fields, method, url, status, reason, upgrade, keepAlive) => {
    current = {
      method: hex(methods[method]), target: hex(url === undefined || url === null ? earlyUrl : url),
      major, minor, keep_alive: keepAlive, upgrade,
      fields: early.concat(pairs(fields)), body: '', trailers: [], whole: false, open: true,
    };
    early = [];
    earlyUrl = '';
    if (!closed)
      messages.push(current);
    return 0;
  };
  parser[HTTPParser.kOnBody] = (part) => {
    current.body += part.toString('hex');
  };
  parser[HTTPParser.kOnMessageComplete] = () => {
    current.whole = true;
    current.open = false;
    closed = closed || !current.keep_alive;
  };
  const result = parser.execute(bytes);
  let end = 'ok', why = '';
  if (closed) {
    end = 'closed';
  } else if (result instanceof Error) {
    why = `${result.code}: ${result.reason}`;
    end = 'refused';
  } else {
    // An end of the stream in the middle of a message is an error, too.
    const finish = parser.finish();
    if (finish instanceof Error || (current && current.open))
      end = 'incomplete';
  }
  return {messages, end, why};
}

const chunks = [];
process.stdin.on('data', (chunk) => chunks.push(chunk));
process.stdin.on('end', () => {
  const input = Buffer.concat(chunks);
  const lines = [];
  for (let at = 0; at < input.length;) {
    const length = input.readUInt32LE(at);
    lines.push(JSON.stringify(read(input.subarray(at + 4, at + 4 + length))));
    at += 4 + length;
  }
  process.stdout.write(lines.join('\n') + '\n');
});
