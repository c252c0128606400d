import 'reflect-metadata';
import { fileURLToPath } from 'node:url';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { AppModule } from './app.module.js';
import { CONFIGURATION, type Configuration } from './configuration.js';

const app = await NestFactory.create<NestExpressApplication>(AppModule, { logger: ['warn', 'error', 'fatal'] });
app.disable('x-powered-by');
// The relay asks about many groups in one question.
app.useBodyParser('json', { limit: '4mb' });
app.useStaticAssets(fileURLToPath(new URL('../public', import.meta.url)));
const stockClient = fileURLToPath(import.meta.resolve('socket.io-client/dist/socket.io.js'));
app.useStaticAssets(stockClient, { prefix: '/socket.io.js' });
app.enableShutdownHooks();

const { port } = app.get<Configuration>(CONFIGURATION);
await app.listen(port, 'localhost');
console.log(`the Nest example is ready at http://localhost:${port}`);
process.send?.({ listening: 'nest' });
