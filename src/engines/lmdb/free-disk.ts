import { statfs } from "node:fs/promises";
import type { Journal } from "../../ports/journal.js";

const LOOK_EVERY_MS = 1_000;

/** Keeps an eye on the room that is left on the disk of a directory. */
export class FreeDisk {
  private enough = true;
  private timer: NodeJS.Timeout | undefined;
  private looking = false;

  /** @param bytesMin below so many free bytes there is no room; 0: there always is */
  constructor(
    private readonly directory: string,
    private readonly bytesMin: number,
    private readonly journal: Journal,
  ) {}

  get hasRoom(): boolean {
    return this.enough;
  }

  /** Looks now and then once a second, until `stop`. */
  async start(): Promise<void> {
    if (this.bytesMin === 0) return;
    await this.look();
    this.timer = setInterval(() => {
      void this.look();
    }, LOOK_EVERY_MS);
    this.timer.unref();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** Never rejects: a disk that cannot be asked counts as full. */
  private async look(): Promise<void> {
    if (this.looking) return;
    this.looking = true;
    try {
      const { bavail, bsize } = await statfs(this.directory);
      this.turn(bavail * bsize >= this.bytesMin, { freeBytes: bavail * bsize, freeBytesMin: this.bytesMin });
    } catch (error) {
      this.turn(false, { error });
    } finally {
      this.looking = false;
    }
  }

  private turn(enough: boolean, facts: Readonly<Record<string, unknown>>): void {
    if (enough === this.enough) return;
    this.enough = enough;
    if (enough) this.journal.info("there is room on the disk again: publishing goes on", { directory: this.directory, ...facts });
    else this.journal.error("no room on the disk: publishing is refused", { directory: this.directory, ...facts });
  }
}
