import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { httpAnswer } from "../support/prometheus-text.js";
import { startTestServer } from "../support/server.js";

const PAGE = new URL("../../docs/metrics.md", import.meta.url);

/** What promtool says of something, and how it ends. */
function promtool(args: readonly string[], input = ""): { readonly status: number | null; readonly said: string } {
  const { error, status, stdout, stderr } = spawnSync("promtool", args, { input, encoding: "utf8" });
  if (error !== undefined) throw new Error(`promtool does not run: run "npm run interop:tools", or apt-get install prometheus`, { cause: error });
  return { status, said: stdout + stderr };
}

/** The blocks of the page on metrics that are written in this language. */
function blocksIn(language: string): readonly string[] {
  const page = readFileSync(PAGE, "utf8");
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm"))].map(([, block = ""]) => block.trim());
}

async function withFile<T>(content: string, work: (path: string) => T): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), "tidemark-promtool-"));
  try {
    const path = join(directory, "file.yml");
    await writeFile(path, content);
    return work(path);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

describe("Prometheus' own promtool", () => {
  it("has nothing to say against the metrics of a server that was used", async () => {
    const server = await startTestServer({ metricsListen: "127.0.0.1:0" });
    try {
      const stubs = await server.connect();
      await stubs.publishBatch("orders", [{ event: "order.created" }, { event: "order.paid" }]);
      const stream = stubs.subscribe({ queue: "orders", subscriber: "billing" });
      await stream.receive(2);
      await stream.cancel();
      const { body } = await httpAnswer(server.server.metricsUrl ?? "");
      expect(body).to.include('tidemark_deliveries_total{queue="orders",subscriber="billing"} 2');
      expect(promtool(["check", "metrics"], body)).to.deep.equal({ status: 0, said: "" });
      expect(promtool(["check", "metrics"], body.replace("# HELP tidemark_queues ", "# HELP other ")).status, "it would say something").not.to.equal(0);
    } finally {
      await server.close();
    }
  });

  it("takes the configuration and the alerts of the page on metrics", async () => {
    const [config = "", ...more] = blocksIn("yaml");
    expect(more).to.deep.equal([]);
    const alerts = blocksIn("promql").map((expr, i) => ({ alert: `Alert${i}`, expr, for: "10m" }));
    expect(alerts).to.have.length(5);
    // JSON is YAML as well.
    for (const [kind, content] of [["config", config], ["rules", JSON.stringify({ groups: [{ name: "tidemark", rules: alerts }] })]] as const) {
      const { status, said } = await withFile(content, (path) => promtool(["check", kind, path]));
      expect(status, said).to.equal(0);
    }
  });
});
