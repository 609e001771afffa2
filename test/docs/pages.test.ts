import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Step, stepsOf } from "./page.js";
import { PageRun } from "./page-run.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

const TITLE_LENGTH_MAX = 90;

const pages = ["README.md", ...readdirSync(join(ROOT, "docs")).filter((name) => name.endsWith(".md")).map((name) => join("docs", name))];

for (const page of pages) {
  describe(`what ${page} says`, function () {
    // A step waits for its own deadline, which says more than this one.
    this.timeout(90_000);
    const steps = stepsOfPage(page);
    if (steps.length === 0) return;
    let run: PageRun;
    let broken: string | undefined;

    before(async () => {
      run = await PageRun.start();
    });

    after(async () => {
      await run.close();
      const unrun = steps.filter(({ kind }) => kind === "unrun").length;
      console.log(`      ${steps.length - unrun} steps followed, ${unrun} blocks not run, for the reasons above`);
    });

    for (const step of steps) {
      it(`line ${step.line}: ${titleOf(step)}`, async () => {
        if (broken !== undefined) throw new Error(`not tried, because of the failure in ${broken}`);
        broken = `line ${step.line}`;
        await run.follow(step);
        broken = undefined;
      });
    }
  });
}

/** A page that cannot be read does not keep the others from being read. */
function stepsOfPage(page: string): readonly Step[] {
  try {
    return stepsOf(readFileSync(join(ROOT, page), "utf8"));
  } catch (error) {
    it("can be followed", () => {
      throw error;
    });
    return [];
  }
}

function titleOf(step: Step): string {
  switch (step.kind) {
    case "given":
      return "a server runs";
    case "commands":
      return cut(step.commands);
    case "type":
      return `type ${cut(step.text)}`;
    case "key":
      return `press ${step.key}`;
    case "output":
      return `shows ${cut(step.lines.join(" "))}`;
    case "save":
      return `save ${step.path}`;
    case "unrun":
      return `not run: ${step.reason}`;
  }
}

function cut(text: string): string {
  const line = text.replace(/\s+/g, " ");
  return line.length > TITLE_LENGTH_MAX ? `${line.slice(0, TITLE_LENGTH_MAX)}…` : line;
}
