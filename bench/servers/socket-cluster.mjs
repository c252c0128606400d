// A SocketCluster server as its guide starts one: `socket-cluster.mjs <port> <path of the installed package>`.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const [port, entry] = process.argv.slice(2);
const { attach } = createRequire(import.meta.url)(entry);

const http = createServer();
attach(http);
http.listen(Number(port), '127.0.0.1', () => console.log('listening'));
