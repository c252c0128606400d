import 'reflect-metadata';
import { Injectable, Module, type OnModuleInit } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { surroundings } from './surroundings.js';
import { work } from './work.js';

@Injectable()
class Work implements OnModuleInit {
  async onModuleInit(): Promise<void> {
    await work(surroundings());
    console.log('groupcast works');
  }
}

@Module({ providers: [Work] })
class AppModule {}

NestFactory.createApplicationContext(AppModule, { logger: ['error'], abortOnError: false })
  .then(async (app) => app.close())
  .then(
    () => process.exit(),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
