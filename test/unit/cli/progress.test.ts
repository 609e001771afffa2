import { expect } from "chai";
import { Output } from "../../../src/cli/output.js";
import { Progress } from "../../../src/cli/progress.js";

interface Terminal {
  readonly written: string[];
  restore(): void;
}

/** Makes stdout and stderr look like terminals, or like pipes, and keeps what is written to stderr. */
function pretend(isTTY: boolean): Terminal {
  const written: string[] = [];
  const { stdout, stderr } = process;
  const before = { stdout: stdout.isTTY, stderr: stderr.isTTY, write: stderr.write.bind(stderr) };
  stdout.isTTY = isTTY;
  stderr.isTTY = isTTY;
  stderr.write = ((text: string) => {
    written.push(text);
    return true;
  });
  return {
    written,
    restore: () => {
      stdout.isTTY = before.stdout;
      stderr.isTTY = before.stderr;
      stderr.write = before.write;
    },
  };
}

/** Work that goes on for this long. */
function workFor(ms: number, progress: Progress): number {
  const end = performance.now() + ms;
  let done = 0;
  for (; performance.now() < end; done++) progress.advance(1);
  return done;
}

describe("progress", () => {
  for (const [where, isTTY, json, ms] of [
    ["in a pipe", false, false, 700],
    ["with --json", true, true, 700],
    ["of work that is done at once", true, false, 50],
  ] as const) {
    it(`is not shown ${where}`, () => {
      const terminal = pretend(isTTY);
      try {
        const progress = new Progress(new Output(json), "messages", 10);
        workFor(ms, progress);
        progress.stop();
      } finally {
        terminal.restore();
      }
      expect(terminal.written).to.deep.equal([]);
    });
  }

  for (const total of [1_000_000_000, undefined]) {
    it(`is shown on a terminal ${total === undefined ? "as a count" : "as a bar"}, redrawn a few times a second, and is gone without a trace`, () => {
      const listeners = process.listenerCount("SIGINT");
      const terminal = pretend(true);
      let whileShown = 0;
      try {
        const progress = new Progress(new Output(false), "messages", total);
        const done = workFor(1_000, progress);
        expect(done).to.be.greaterThan(1_000);
        whileShown = process.listenerCount("SIGINT");
        progress.stop();
        progress.stop();
      } finally {
        terminal.restore();
      }
      const text = terminal.written.join("");
      expect(text).to.match(/[\d,]+ messages {2}[\d,]+\/s/);
      expect(text.includes("%")).to.equal(total !== undefined);
      expect(text.match(/messages/g)?.length, "redraws").to.be.within(2, 12);
      expect(text, "the cursor comes back, and the line is clear").to.match(/\u001b\[\?25h[^]*\u001b\[2K$/);
      expect([whileShown, process.listenerCount("SIGINT")]).to.deep.equal([listeners + 1, listeners]);
    });
  }
});
