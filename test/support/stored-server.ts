import { ServerProcess, temporaryDataDir } from "./server-process.js";
import { Stubs } from "./stubs.js";

/** A server process with a data directory of its own, and stubs connected to it; it can end and come back on what it has stored. */
export class StoredServer {
  private constructor(
    private readonly data: Awaited<ReturnType<typeof temporaryDataDir>>,
    private process: ServerProcess,
    private connected: Stubs,
  ) {}

  static async start(): Promise<StoredServer> {
    const data = await temporaryDataDir();
    const process = await ServerProcess.start({ dataDir: data.path });
    return new StoredServer(data, process, await connectedTo(process));
  }

  /** Other ones after each restart. */
  get stubs(): Stubs {
    return this.connected;
  }

  get address(): string {
    return this.process.address;
  }

  /** Of the data directory. */
  get path(): string {
    return this.data.path;
  }

  /** Stops it in good order, lets `meanwhile` at its data, and starts it again. */
  async restart(meanwhile: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    this.connected.close();
    await this.process.stop();
    await meanwhile();
    await this.begin();
  }

  /** Kills it and starts it again. */
  async crash(): Promise<void> {
    await this.kill();
    await this.begin();
  }

  /** Kills it; `revive` brings it back. */
  async kill(): Promise<void> {
    await this.process.kill();
    this.connected.close();
  }

  /** Starts it again where it was, for clients that wait for it. */
  async revive(): Promise<void> {
    await this.begin(this.address);
  }

  /** Ends it, if it still runs, and removes what it has stored. */
  async remove(): Promise<void> {
    this.connected.close();
    if (this.process.running) await this.process.stop();
    await this.data.remove();
  }

  private async begin(listen = "127.0.0.1:0"): Promise<void> {
    this.process = await ServerProcess.start({ dataDir: this.data.path, listen });
    this.connected = await connectedTo(this.process);
  }
}

async function connectedTo({ address }: ServerProcess): Promise<Stubs> {
  const stubs = new Stubs(address);
  await stubs.ready();
  return stubs;
}
