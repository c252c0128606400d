import { setTimeout as wait } from 'node:timers/promises';
import { type Broadcaster, createBroadcaster, GroupcastError } from '@groupcast/broadcaster';
import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { ChatService } from '../chat/chat.service.js';
import { CONFIGURATION, type Configuration } from '../configuration.js';

const RETRY_MS = 500;

/**
 * Broadcasts what was saved: each group in its order, one message after another, until the relay has it. A message that was saved before a
 * crash, and not acknowledged, is sent after it. It has the same id and place, so the relay knows a second copy.
 */
@Injectable()
export class OutboxService implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly log = new Logger(OutboxService.name);
  private readonly relay: Broadcaster;
  private readonly sending = new Set<string>();
  private readonly stopping = new AbortController();

  constructor(
    private readonly chat: ChatService,
    @Inject(CONFIGURATION) { relayUrl, serviceSecret }: Configuration,
  ) {
    this.relay = createBroadcaster({ url: relayUrl, serviceSecret, name: 'nest-example' });
  }

  onApplicationBootstrap(): void {
    this.chat.saved.subscribe((groupId) => void this.send(groupId));
    for (const groupId of this.chat.groupIds) void this.send(groupId);
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopping.abort();
    await this.relay.close();
  }

  private async send(groupId: string): Promise<void> {
    if (this.sending.has(groupId)) return;
    this.sending.add(groupId);
    for (;;) {
      const next = this.stopping.signal.aborted ? undefined : this.chat.unsent(groupId);
      if (!next) break;
      const { message, epoch } = next;
      try {
        await this.relay.broadcastMessage({ groupId, epoch, seq: message.seq, message: { ...message } });
        this.chat.setSent(groupId, message.seq);
      } catch (error) {
        await this.mend(groupId, message.seq, error);
      }
    }
    this.sending.delete(groupId);
  }

  /** Mends what the relay refused, and returns when the next attempt may begin. */
  private async mend(groupId: string, seq: number, error: unknown): Promise<void> {
    if (this.stopping.signal.aborted) return;
    const { code, details, retryAfterMs } = error instanceof GroupcastError ? error : ({} as Partial<GroupcastError>);
    const head = details?.['head'] as { epoch: string; seq: number } | undefined;
    if (code === 'POSITION_GAP' && head && head.seq < seq) {
      // The relay has less than it had: it goes on from there.
      this.chat.setSent(groupId, head.seq);
      return;
    }
    if (code === 'CONFLICT' && head) {
      this.chat.startOver(groupId, Number.parseInt(head.epoch, 10) + 1);
      return;
    }
    this.log.warn(`group ${groupId} waits for the relay: ${error instanceof Error ? error.message : String(error)}`);
    await wait(retryAfterMs ?? RETRY_MS, undefined, { signal: this.stopping.signal }).catch(() => undefined);
  }
}
