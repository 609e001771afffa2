import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { KEYS, type OutputStep, type Step } from "./page.js";
import { Terminal } from "./terminal.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PROGRAM = join(ROOT, "dist", "src", "cli", "main.js");
const TOOLS = join(ROOT, ".cache", "interop", "bin");

/** Where pages have a broker and its metrics; each run has free ports in their place. */
const PORTS_ON_PAGES = [50_051, 9_464] as const;

/** One reader of one page: a directory, a port and terminals of their own, thrown away at the end. */
export class PageRun {
  private readonly terminals = new Map<string, Terminal>();
  /** In which a command or a key came last, and whether it has ended: then its output is whole. */
  private last: { readonly terminal: string; readonly ended: boolean } | undefined;

  private constructor(
    private readonly directory: string,
    /** One for each of `PORTS_ON_PAGES`. */
    private readonly ports: readonly number[],
  ) {}

  static async start(): Promise<PageRun> {
    if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: run "npm run build" first`);
    if (!existsSync(join(TOOLS, "grpcurl"))) throw new Error(`grpcurl is missing in ${TOOLS}: run "npm run interop:tools" first`);
    const directory = await mkdtemp(join(tmpdir(), "tidemark-page-"));
    // What `npm link` does, and what the checkout is to programs in it.
    await mkdir(join(directory, "bin"));
    await mkdir(join(directory, "work", "node_modules"), { recursive: true });
    await writeFile(join(directory, "bin", "tidemark"), `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`);
    await chmod(join(directory, "bin", "tidemark"), 0o755);
    await symlink(ROOT, join(directory, "work", "node_modules", "tidemark"));
    return new PageRun(directory, await Promise.all(PORTS_ON_PAGES.map(() => freePort())));
  }

  /** Does what a step says, or looks whether it is true. */
  async follow(step: Step): Promise<void> {
    switch (step.kind) {
      case "given":
        return this.serve();
      case "commands":
        this.last = { terminal: step.terminal, ended: !step.stays };
        return (await this.terminal(step.terminal)).run(this.fromPage(step.commands), step);
      case "type":
        this.last = { terminal: step.terminal, ended: false };
        (await this.terminal(step.terminal)).type(this.fromPage(step.text));
        return undefined;
      case "key":
        this.last = { terminal: step.terminal, ended: true };
        return (await this.terminal(step.terminal)).end(KEYS[step.key], step.exitStatus);
      case "output":
        return this.compare(step);
      case "save": {
        const path = join(this.directory, "work", step.path);
        await mkdir(dirname(path), { recursive: true });
        return writeFile(path, this.fromPage(step.content));
      }
      case "unrun":
        return undefined;
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.terminals.values()].map((terminal) => terminal.close()));
    await rm(this.directory, { recursive: true, force: true });
  }

  private async serve(): Promise<void> {
    const terminal = await this.terminal("server");
    await terminal.run("tidemark serve", { stays: true, exitStatus: 0 });
    await terminal.expect(["…tidemark serves…"], false, (text) => text);
  }

  private async compare({ terminal, lines, isPart }: OutputStep): Promise<void> {
    const of = terminal ?? this.last?.terminal;
    if (of === undefined) throw new Error("nothing was run so far");
    const whole = !isPart && this.last?.terminal === of && this.last.ended;
    await (await this.terminal(of)).expect(lines, whole, (text) => this.asOnPage(text));
  }

  private async terminal(name: string): Promise<Terminal> {
    const known = this.terminals.get(name);
    if (known !== undefined) return known;
    const opened = await Terminal.open(this.environment(), join(this.directory, "work"));
    this.terminals.set(name, opened);
    return opened;
  }

  /** That of the tests, with the settings of this page in place of theirs. */
  private environment(): NodeJS.ProcessEnv {
    const outer = Object.entries(process.env).filter(([name]) => !/^(TIDEMARK|GRPC)_|^(FORCE_COLOR|CI)$/.test(name));
    return {
      ...Object.fromEntries(outer),
      PATH: [join(this.directory, "bin"), TOOLS, process.env.PATH ?? ""].join(":"),
      TIDEMARK_ADDRESS: this.fromPage(`127.0.0.1:${PORTS_ON_PAGES[0]}`),
      TIDEMARK_LISTEN: this.fromPage(`127.0.0.1:${PORTS_ON_PAGES[0]}`),
    };
  }

  private fromPage(text: string): string {
    return PORTS_ON_PAGES.reduce((result, port, i) => result.replaceAll(`:${port}`, `:${this.ports[i] ?? port}`), text);
  }

  private asOnPage(text: string): string {
    return PORTS_ON_PAGES.reduce((result, port, i) => result.replaceAll(`:${this.ports[i] ?? port}`, `:${port}`), text);
  }
}

/** A port that nobody listens on at this moment. */
async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve, reject) => {
    probe.once("error", reject).listen(0, "127.0.0.1", resolve);
  });
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
