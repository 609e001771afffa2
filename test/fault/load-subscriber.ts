import { setTimeout as delay } from "node:timers/promises";
import { LoadSession, type LoadSubscriberOptions } from "./load-session.js";

/** One client of a subscriber, with a consumer's bad habits; keeps coming back until told to stop. */
export class LoadSubscriber {
  private stopping = false;
  private draining = false;
  private session: LoadSession | undefined;

  constructor(private readonly options: LoadSubscriberOptions) {}

  /** Resolves after `stop`. Rejects when the server broke the protocol. */
  async run(): Promise<void> {
    const { leaves, random, recording, stubs } = this.options;
    for (;;) {
      await recording.serverIsBack(stubs);
      if (this.stopping) return;
      this.session = new LoadSession(this.options, this.draining);
      const leaving = leaves && !this.draining ? this.leaveLater(this.session) : undefined;
      await this.session.over;
      await leaving;
      if (leaves && !this.draining && random.chance(0.5)) await delay(random.between(50, 1_500));
    }
  }

  /** From now on everything is acked at once, and nobody leaves. */
  drain(): void {
    this.draining = true;
    this.session?.drain();
  }

  stop(): void {
    this.stopping = true;
    this.session?.breakOff();
  }

  private async leaveLater(session: LoadSession): Promise<void> {
    await Promise.race([delay(this.options.random.between(200, 1_200)), session.over]);
    if (!this.draining) session.halfClose();
  }
}
