import type { Argument, Command, Option } from "commander";
import { PATHS } from "./completion-scripts.js";

/** One way to go on with a command line. */
export interface Candidate {
  /** The whole word that would stand there. */
  readonly word: string;
  /** One line for people; may be empty. */
  readonly about: string;
}

/** What names are made of that only the broker knows. */
export type NameKind = "queue" | "subscriber" | "session" | "event";

/** Where names come from. Answers nothing where there is no broker. */
export interface NameSource {
  /** @param queue of which queue; undefined: the line does not say */
  names(kind: NameKind, queue: string | undefined): Promise<readonly Candidate[]>;
}

/** Values that are usual where others are allowed too. */
const USUAL: Readonly<Record<string, readonly string[]>> = { "--from": ["earliest", "latest"], "--metrics-listen": ["off", "127.0.0.1:9464"] };

/** What arguments and flags are called that take a name. */
const NAME_KINDS: Readonly<Record<string, NameKind>> = { queue: "queue", subscriber: "subscriber", session: "session", event: "event", events: "event" };

const PATH_NAMES: ReadonlySet<string> = new Set(["file", "path", "directory"]);

/**
 * How the last of these words can go on; `PATHS` alone as a word: by a path.
 *
 * @param words the words behind the program's name; the last one is unfinished, and may be empty
 */
export async function candidates(program: Command, words: readonly string[], names: NameSource): Promise<readonly Candidate[]> {
  const unfinished = words.at(-1) ?? "";
  const line = readLine(program, words.slice(0, -1));
  const found = await continuations(line, unfinished, names);
  return found.filter(({ word }) => word === PATHS || word.startsWith(unfinished));
}

/** What the finished words of a command line say. */
interface Line {
  readonly command: Command;
  /** Arguments of the command so far. */
  readonly operands: readonly string[];
  readonly values: ReadonlyMap<Option, string>;
  /** The option whose value comes next. */
  readonly open: Option | undefined;
  /** There was a `--`: no options any more. */
  readonly onlyOperands: boolean;
}

function readLine(program: Command, words: readonly string[]): Line {
  let command = program;
  let open: Option | undefined;
  let onlyOperands = false;
  const operands: string[] = [];
  const values = new Map<Option, string>();
  for (const word of words) {
    if (open !== undefined) {
      values.set(open, word);
      open = undefined;
    } else if (!onlyOperands && word === "--") {
      onlyOperands = true;
    } else if (!onlyOperands && word.startsWith("-")) {
      const [name = "", value] = word.split("=", 2);
      const option = optionsOf(command).find(({ short, long }) => name === short || name === long);
      if (option?.required === true) {
        if (value === undefined) open = option;
        else values.set(option, value);
      }
    } else {
      const next: Command | undefined = operands.length === 0 ? subcommandsOf(command).find((other) => other.name() === word) : undefined;
      if (next === undefined) operands.push(word);
      else command = next;
    }
  }
  return { command, operands, values, open, onlyOperands };
}

async function continuations(line: Line, unfinished: string, names: NameSource): Promise<readonly Candidate[]> {
  const { command, operands, open, onlyOperands } = line;
  if (open !== undefined) return valuesOf(open, line, names);
  const equals = unfinished.indexOf("=");
  if (!onlyOperands && unfinished.startsWith("--") && equals > 0) {
    const name = unfinished.slice(0, equals);
    const option = optionsOf(command).find(({ long }) => long === name);
    const values = option === undefined ? [] : await valuesOf(option, line, names);
    return values.map(({ word, about }) => ({ word: word === PATHS ? PATHS : `${name}=${word}`, about }));
  }
  if (!onlyOperands && unfinished.startsWith("-")) return optionsOf(command).filter(({ hidden }) => !hidden).map(optionCandidate);
  const subcommands = subcommandsOf(command);
  if (subcommands.length > 0 && operands.length > 0) return [];
  if (subcommands.length > 0) return subcommands.map((other) => ({ word: other.name(), about: other.summary() }));
  const declared = command.registeredArguments;
  const argument = declared[operands.length] ?? (declared.at(-1)?.variadic === true ? declared.at(-1) : undefined);
  return argument === undefined ? [] : valuesOf(argument, line, names);
}

/** Its own options and those of the commands above it. */
function optionsOf(command: Command): readonly Option[] {
  const help = command.createHelp();
  const own = new Set([...help.visibleOptions(command), ...command.options]);
  return command.parent === null ? [...own] : [...own, ...command.parent.options];
}

/** Those that help shows, without what Commander adds: --help says the same. */
function subcommandsOf(command: Command): readonly Command[] {
  return command.createHelp().visibleCommands(command).filter((other) => command.commands.includes(other));
}

function optionCandidate({ long, short, description }: Option): Candidate {
  return { word: long ?? short ?? "", about: description };
}

async function valuesOf(place: Option | Argument, line: Line, names: NameSource): Promise<readonly Candidate[]> {
  const long = "long" in place ? place.long : undefined;
  const listed = place.argChoices ?? (long === undefined ? undefined : USUAL[long]);
  if (listed !== undefined) return listed.map((word) => ({ word, about: "" }));
  const [name, placeholder] = "long" in place ? [place.attributeName(), /<(.+)>/.exec(place.flags)?.[1] ?? ""] : [place.name(), place.name()];
  if (PATH_NAMES.has(placeholder)) return [{ word: PATHS, about: "" }];
  const kind = NAME_KINDS[name];
  return kind === undefined ? [] : names.names(kind, queueOf(line));
}

/** The queue that the line names so far, as an argument or by `--queue`. */
function queueOf({ command, operands, values }: Line): string | undefined {
  const at = command.registeredArguments.findIndex((argument) => argument.name() === "queue");
  if (at !== -1) return operands[at];
  return [...values].find(([option]) => option.attributeName() === "queue")?.[1];
}
