/** What a page tells its reader to do, or shows of what comes of it, in the order of the page. */
export type Step = GivenStep | CommandStep | TypeStep | KeyStep | OutputStep | SaveStep | UnrunStep;

/** Where in the page: for titles and failures. */
interface Place {
  /** Of the first line that the step is about, from 1. */
  readonly line: number;
}

/** The page takes it that a server runs. */
export interface GivenStep extends Place {
  readonly kind: "given";
}

/** A block of shell commands, typed into a terminal line by line. */
export interface CommandStep extends Place {
  readonly kind: "commands";
  readonly terminal: string;
  readonly commands: string;
  /** The last command goes on, and what follows is typed elsewhere, or into it. */
  readonly stays: boolean;
  /** How its last command ends; all before it end with 0. */
  readonly exitStatus: number;
}

/** Lines typed into the program that runs in a terminal. */
export interface TypeStep extends Place {
  readonly kind: "type";
  readonly terminal: string;
  readonly text: string;
}

/** One key press for the program that runs in a terminal, which ends by it. */
export interface KeyStep extends Place {
  readonly kind: "key";
  readonly terminal: string;
  readonly key: KeyName;
  readonly exitStatus: number;
}

/** What a terminal shows by now. */
export interface OutputStep extends Place {
  readonly kind: "output";
  /** Undefined: that of the step before. */
  readonly terminal: string | undefined;
  readonly lines: readonly string[];
  /** There may be more than this, even when the command has ended. */
  readonly isPart: boolean;
}

/** A file that the reader is told to make. */
export interface SaveStep extends Place {
  readonly kind: "save";
  readonly path: string;
  readonly content: string;
}

/** A block that is not run, and why. */
export interface UnrunStep extends Place {
  readonly kind: "unrun";
  readonly reason: string;
}

/** What each named key sends. */
export const KEYS = { "Ctrl-C": "\u0003", "Ctrl-D": "\u0004" } as const;
export type KeyName = keyof typeof KEYS;

/** The terminal of a page that speaks of only one. */
const FIRST_TERMINAL = "1";

/** The language of a block that says none. */
const UNNAMED = "plain";

/** Reasons that need not be said each time: who else runs the blocks that these comments mark. */
const RUN_ELSEWHERE: Readonly<Record<string, string>> = {
  "ci: serve": ".ci/run runs it in a fresh clone",
  "ci: tests": ".ci/run runs it",
};

interface Block extends Place {
  /** The info string: `sh`, `text`, `json client` … */
  readonly language: string;
  readonly lines: readonly string[];
  readonly comments: readonly Comment[];
}

interface Comment extends Place {
  readonly name: string;
  readonly rest: string;
}

/** A page cannot be run: one line that says which line of it, and why. */
class PageError extends Error {
  constructor({ line }: Place, message: string) {
    super(`line ${line}: ${message}`);
  }
}

/** Reads a page as its reader does: see "Pages that run" in CONTRIBUTING.md for what the comments mean. */
export function stepsOf(markdown: string): readonly Step[] {
  const steps: Step[] = [];
  let comments: Comment[] = [];
  const unrun = new Map<string, string>();
  const lines = markdown.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? "";
    const comment = commentOf(line, i + 1);
    const fence = /^(\s*)(`{3,})(.*)$/.exec(line);
    if (comment !== undefined) {
      const alone = aloneStep(comment);
      if (comment.name === "not run here") for (const [language, reason] of languagesOf(comment)) unrun.set(language, reason);
      else if (alone === undefined) comments.push(comment);
      else steps.push(alone);
    } else if (fence !== null) {
      const [, indent = "", marks = "", language = ""] = fence;
      const end = lines.findIndex((other, at) => at > i && other.trim() === marks);
      if (end === -1) throw new PageError({ line: i + 1 }, "this block has no end");
      const content = lines.slice(i + 1, end).map((text) => (text.startsWith(indent) ? text.slice(indent.length) : text));
      const reason = unrun.get(language.trim() || UNNAMED);
      const block = { line: i + 1, language: language.trim() || UNNAMED, lines: content, comments };
      steps.push(reason === undefined ? blockStep(block, steps.at(-1)) : { kind: "unrun", line: block.line, reason });
      comments = [];
      i = end;
    } else if (line.trim() !== "" && comments[0] !== undefined) {
      throw new PageError(comments[0], "this comment belongs to a block, and text comes before one");
    }
  }
  if (comments[0] !== undefined) throw new PageError(comments[0], "this comment belongs to a block, and none follows");
  return steps;
}

const COMMENT_NAMES = ["run", "not run", "not run here", "given", "output", "keys", "save", "file", "ci"];

/** A comment that means something here; other comments are nobody's business. */
function commentOf(text: string, line: number): Comment | undefined {
  const [, name = "", rest = ""] = /^<!-- ([a-z ]+): (.+) -->$/.exec(text.trim()) ?? [];
  return COMMENT_NAMES.includes(name) ? { name, rest, line } : undefined;
}

/** `json client, json server; REASON`: languages of which no block of the page is run. */
function languagesOf(comment: Comment): readonly (readonly [language: string, reason: string])[] {
  const [, languages = "", reason = ""] = /^([^;]+); (.+)$/.exec(comment.rest) ?? [];
  if (reason === "") throw new PageError(comment, "this says which languages are not run, and after a semicolon why");
  return languages.split(", ").map((language) => [language, reason] as const);
}

/** The step that a comment is by itself, without a block. */
function aloneStep(comment: Comment): Step | undefined {
  const { name, rest, line } = comment;
  const contains = /^(?:terminal=(\S+) )?contains (.+)$/.exec(rest);
  if (name === "output" && contains !== null) return { kind: "output", line, terminal: contains[1], lines: [`…${contains[2] ?? ""}…`], isPart: true };
  if (name === "given") {
    if (rest !== "a server") throw new PageError(comment, "nothing else can be given than a server");
    return { kind: "given", line };
  }
  if (name !== "keys") return undefined;
  const { words, terminal, exitStatus } = runWords(comment, rest);
  const key = words.join(" ");
  if (!isKey(key)) throw new PageError(comment, `"${key}" is no key that ends a program; there are ${Object.keys(KEYS).join(" and ")}`);
  return { kind: "key", line, terminal, key, exitStatus };
}

function isKey(key: string): key is KeyName {
  return Object.hasOwn(KEYS, key);
}

function blockStep(block: Block, before: Step | undefined): Step {
  const { line, language, lines, comments } = block;
  const said = new Map(comments.map((comment) => [comment.name, comment]));
  const notRun = said.get("not run");
  if (notRun !== undefined) return { kind: "unrun", line, reason: notRun.rest };
  const save = said.get("save");
  if (save !== undefined) return { kind: "save", line, path: save.rest, content: `${lines.join("\n")}\n` };

  const run = said.get("run");
  const { words, terminal, exitStatus } = runWords(run ?? block, run?.rest ?? "");
  const unknown = words.find((word) => word !== "stays");
  if (unknown !== undefined) throw new PageError(block, `"${unknown}" is not understood after run:`);
  const commands = { kind: "commands", line, terminal, exitStatus, stays: words.includes("stays") } as const;

  const elsewhere = comments.map(({ name, rest }) => RUN_ELSEWHERE[`${name}: ${rest}`]).find((reason) => reason !== undefined);
  if (elsewhere !== undefined) return { kind: "unrun", line, reason: elsewhere };
  if (language === "sh") return { ...commands, commands: scriptOf(lines) };
  const file = said.get("file");
  if (file !== undefined) return { kind: "unrun", line, reason: `${file.rest} is run by the tests of the examples` };
  if (language === "json client") return { kind: "type", line, terminal, text: lines.join("\n") };
  if (language === "text" || language === "json server") {
    const output = said.get("output");
    if (output === undefined && !showsOutput(before)) throw new PageError(block, "this output follows no command; say what it is of with <!-- output: terminal=… -->");
    return { kind: "output", line, terminal: output === undefined ? undefined : runWords(output, output.rest).terminal, lines, isPart: false };
  }
  throw new PageError(block, `a block of "${language}" is neither run nor compared; say why with <!-- not run: … -->`);
}

function showsOutput(step: Step | undefined): boolean {
  return step !== undefined && step.kind !== "unrun" && step.kind !== "save" && step.kind !== "output";
}

/** A script that begins with `#!` is run as the file that it is; everything else is typed. */
function scriptOf(lines: readonly string[]): string {
  if (!(lines[0] ?? "").startsWith("#!")) return lines.join("\n");
  return ["cat > script.sh <<'END OF SCRIPT'", ...lines, "END OF SCRIPT", "sh script.sh"].join("\n");
}

/** The words `terminal=…` and `exits=…` of a comment, and the others. */
function runWords(place: Place, text: string): { readonly words: readonly string[]; readonly terminal: string; readonly exitStatus: number } {
  const words: string[] = [];
  let terminal = FIRST_TERMINAL;
  let exitStatus = 0;
  for (const word of text.split(/\s+/).filter((part) => part !== "")) {
    const [name, value] = word.split("=", 2);
    if (value === undefined) words.push(word);
    else if (name === "terminal") terminal = value;
    else if (name === "exits" && /^\d+$/.test(value)) exitStatus = Number(value);
    else throw new PageError(place, `"${word}" is not understood`);
  }
  return { words, terminal, exitStatus };
}
