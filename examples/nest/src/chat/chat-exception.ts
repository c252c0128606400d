import { HttpException } from '@nestjs/common';

/** A refusal, with a code for programs. It is the same over HTTP and over the relay. */
export class ChatException extends HttpException {
  constructor(
    status: number,
    readonly code: string,
    message: string,
  ) {
    super({ error: { code, message, retryable: false } }, status);
  }
}
