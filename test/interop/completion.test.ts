import { execFile } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "chai";
import { startTestServer, type TestServer } from "../support/server.js";

const PROGRAM = fileURLToPath(new URL("../../dist/src/cli/main.js", import.meta.url));
const SHELL_MS_MAX = 30_000;
const run = promisify(execFile);

describe("completion in a shell", () => {
  let server: TestServer;
  let directory: string;

  before(async () => {
    server = await startTestServer({ engine: "memory" });
    const stubs = await server.connect();
    await stubs.publish("orders", { event: "order.created" });
    await stubs.publish("offers", { event: "offer.made" });
    const stream = stubs.subscribe({ queue: "orders", subscriber: "billing" });
    await stream.next("opened");
    directory = await mkdtemp(join(tmpdir(), "tidemark-completion-"));
    await writeFile(join(directory, "tidemark"), `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`);
    await chmod(join(directory, "tidemark"), 0o755);
  });

  after(async () => {
    await server.close();
    await rm(directory, { recursive: true, force: true });
  });

  async function shell(program: string, args: readonly string[], address = server.address): Promise<string> {
    const env = { ...process.env, PATH: `${directory}:${process.env.PATH ?? ""}`, TIDEMARK_ADDRESS: address, TERM: "xterm", HOME: directory };
    try {
      return (await run(program, args, { env, cwd: directory, timeout: SHELL_MS_MAX })).stdout;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") throw new Error(`${program} is missing: run "npm run interop:tools", or apt-get install ${program}`, { cause: error });
      throw error;
    }
  }

  /** What bash would put in place of the last word, which the function that the script installs says. */
  async function bash(...words: string[]): Promise<string[]> {
    const script = `source <(tidemark completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tidemark; printf "%s\\n" "\${COMPREPLY[@]}"`;
    return linesOf(await shell("bash", ["--noprofile", "--norc", "-c", script, "bash", ...words]));
  }

  const fish = async (line: string): Promise<string[]> => linesOf(await shell("fish", ["--no-config", "-c", `tidemark completion fish | source; complete -C ${JSON.stringify(line)}`]));

  it("bash completes commands, flags, values, names and paths", async () => {
    expect(await bash("tidemark", "que")).to.deep.equal(["queue"]);
    expect(await bash("tidemark", "queue", "show", "o")).to.have.members(["orders", "offers"]);
    expect(await bash("tidemark", "subscriber", "show", "orders", "")).to.deep.equal(["billing"]);
    expect(await bash("tidemark", "publish", "orders", "a.b", "--he")).to.deep.equal(["--header", "--help"]);
    expect(await bash("tidemark", "serve", "--data", "/et")).to.deep.equal(["/etc"]);
  });

  it("bash completes words that it has split at equals signs and colons", async () => {
    expect(await bash("tidemark", "serve", "--log-level", "=", "w")).to.deep.equal(["warn"]);
    const [host = "", port = ""] = server.address.split(":");
    expect(await bash("tidemark", "--address", host, ":", port, "queue", "show", "or")).to.deep.equal(["orders"]);
  });

  it("bash runs nothing that stands in the line", async () => {
    expect(await bash("tidemark", "publish", "$(touch ran)", "`touch ran`", "; touch ran", "--k")).to.deep.equal(["--key"]);
    expect((await shell("ls", [])).split("\n")).to.not.include("ran");
  });

  it("has no names, and no complaint, without a broker", async () => {
    expect(await shell("tidemark", ["complete", "--", "queue", "show", ""], "127.0.0.1:1")).to.equal("");
    expect(linesOf(await shell("tidemark", ["complete", "--", "queue", ""], "127.0.0.1:1")).length).to.be.greaterThan(3);
  });

  it("zsh completes what is typed", async () => {
    const script = `
      zmodload zsh/zpty
      zpty shell zsh -f -i
      zpty -w shell 'autoload -U compinit; compinit -u; source <(tidemark completion zsh); echo rea""dy'
      zpty -r -m shell shown '*ready*'
      zpty -w -n shell $'tidemark queue sho\\t'
      zpty -r -m shell shown '*show*'
      zpty -w -n shell $'or\\t'
      zpty -r -m shell shown '*orders*'
      zpty -d shell
      echo completed`;
    expect(await shell("zsh", ["-f", "-c", script])).to.equal("completed\n");
  });

  it("fish completes commands, values, names and paths, and says what they are", async () => {
    expect(await fish("tidemark que")).to.have.length(1);
    expect((await fish("tidemark que"))[0]).to.match(/^queue\t.*queues/);
    expect(await fish("tidemark queue show o")).to.have.members(["orders\tunordered", "offers\tunordered"]);
    expect((await fish("tidemark serve --log-level=w")).map((line) => line.split("\t")[0])).to.deep.equal(["--log-level=warn"]);
    expect((await fish("tidemark serve --data /et")).map((line) => line.split("\t")[0])).to.include("/etc/");
  });
});

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}
