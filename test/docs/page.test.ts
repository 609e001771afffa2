import { expect } from "chai";
import { stepsOf } from "./page.js";

const page = (...lines: string[]): string => lines.join("\n");
const block = (language: string, ...lines: string[]): string => page(`\`\`\`${language}`, ...lines, "```");

describe("a page that runs", () => {
  it("is followed block by block, in one terminal unless it names others", () => {
    const steps = stepsOf(page("# Title", block("sh", "one", "two"), block("text", "1"), "<!-- run: terminal=b stays exits=3 -->", block("sh", "three")));
    expect(steps).to.deep.equal([
      { kind: "commands", line: 2, terminal: "1", exitStatus: 0, stays: false, commands: "one\ntwo" },
      { kind: "output", line: 6, terminal: undefined, lines: ["1"], isPart: false },
      { kind: "commands", line: 10, terminal: "b", exitStatus: 3, stays: true, commands: "three" },
    ]);
  });

  it("has keys to press, frames to type, files to save and words to look for", () => {
    const steps = stepsOf(
      page("<!-- given: a server -->", "<!-- keys: terminal=2 Ctrl-C exits=130 -->", "<!-- output: terminal=2 contains a b -->", "<!-- run: terminal=2 -->", block("json client", "{}"), "<!-- save: a/b.json -->", block("json", "{}")),
    );
    expect(steps).to.deep.equal([
      { kind: "given", line: 1 },
      { kind: "key", line: 2, terminal: "2", key: "Ctrl-C", exitStatus: 130 },
      { kind: "output", line: 3, terminal: "2", lines: ["…a b…"], isPart: true },
      { kind: "type", line: 5, terminal: "2", text: "{}" },
      { kind: "save", line: 9, path: "a/b.json", content: "{}\n" },
    ]);
  });

  it("runs a script as the file that it is", () => {
    expect(stepsOf(block("sh", "#!/bin/sh", "set -eu"))[0]).to.include({ commands: "cat > script.sh <<'END OF SCRIPT'\n#!/bin/sh\nset -eu\nEND OF SCRIPT\nsh script.sh" });
  });

  it("says of every block that is not run why not", () => {
    const steps = stepsOf(page("<!-- not run here: go, rust; they need compilers -->", "<!-- not run: takes a day -->", block("sh", "x"), block("go", "y"), "<!-- file: examples/a.py -->", block("python", "z")));
    expect(steps).to.deep.equal([
      { kind: "unrun", line: 3, reason: "takes a day" },
      { kind: "unrun", line: 6, reason: "they need compilers" },
      { kind: "unrun", line: 10, reason: "examples/a.py is run by the tests of the examples" },
    ]);
  });

  const mistakes: [string, string, RegExp][] = [
    ["a block that nobody runs", block("go", "x"), /^line 1: a block of "go" is neither run nor compared/],
    ["a block without a language", block("", "x"), /^line 1: a block of "plain"/],
    ["a block without an end", "```sh\nx", /^line 1: this block has no end/],
    ["output of nothing", block("text", "x"), /^line 1: this output follows no command/],
    ["output after a block that is not run", page("<!-- not run: slow -->", block("sh", "x"), block("text", "y")), /^line 5: this output follows no command/],
    ["a comment with text behind it", page("<!-- run: stays -->", "Then:", block("sh", "x")), /^line 1: this comment belongs to a block/],
    ["a comment at the end", "<!-- save: x -->", /^line 1: this comment belongs to a block, and none follows/],
    ["an unknown word", page("<!-- run: fast -->", block("sh", "x")), /"fast" is not understood/],
    ["an unknown setting", page("<!-- run: exit=1 -->", block("sh", "x")), /"exit=1" is not understood/],
    ["an unknown key", "<!-- keys: Ctrl-Z -->", /^line 1: "Ctrl-Z" is no key/],
    ["languages without a reason", "<!-- not run here: go -->", /^line 1: this says which languages/],
    ["something else given", "<!-- given: two servers -->", /^line 1: nothing else can be given/],
  ];
  for (const [name, text, message] of mistakes) {
    it(`is refused for ${name}`, () => {
      expect(() => stepsOf(text)).to.throw(message);
    });
  }
});
