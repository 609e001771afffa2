import { parseServeSettings, SettingsError, unknownSetting } from "./serve-settings.js";
import type { ServeSettings } from "./serve-settings.js";
import { isSettingName, SETTING_NAMES, settingEntry } from "./setting-catalog.js";
import type { SettingName } from "./setting-catalog.js";

/** Where the effective value of a setting comes from. A flag beats the environment, that beats the file, that the default. */
export type SettingOrigin = "flag" | "environment" | "file" | "default";

/** One setting as somebody said it. */
export interface SaidSetting {
  readonly name: SettingName;
  /** Not judged yet. */
  readonly value: unknown;
  readonly origin: SettingOrigin;
  /** Setting and place, as an error names them: `--listen`, `TIDEMARK_LISTEN in the environment`, `listen in server.json`. */
  readonly said: string;
}

/** What holds in the end, and why. */
export interface EffectiveSettings {
  readonly settings: ServeSettings;
  /** Every setting once, in the order of the catalog, as it would be written in a file. */
  readonly origins: readonly SaidSetting[];
}

/** Variables of that prefix that are for other commands, or that Kubernetes makes for a service called tidemark. */
const OTHER_VARIABLES = /^TIDEMARK_(ADDRESS|CONFIG|(PORT|SERVICE)(_.*)?)$/;
const PREFIX = "TIDEMARK_";

/** What the environment says. An empty variable says nothing. Throws SettingsError for a `TIDEMARK_` variable that is no setting. */
export function settingsInEnvironment(environment: Readonly<Record<string, string | undefined>>): readonly SaidSetting[] {
  const byVariable = new Map(SETTING_NAMES.map((name) => [settingEntry(name).variable, name]));
  const found: SaidSetting[] = [];
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith(PREFIX) || text === undefined || text === "" || OTHER_VARIABLES.test(variable)) continue;
    const said = `${variable} in the environment`;
    const name = byVariable.get(variable);
    if (name === undefined) throw unknownSetting(variable, said, text, [...byVariable.keys()]);
    found.push({ name, value: valueOfText(name, text), origin: "environment", said });
  }
  return found;
}

/**
 * What a configuration file says: one JSON object, by the names of the settings.
 * @param path for the errors
 * @throws SettingsError when it is something else, or names a setting that there is not
 */
export function settingsInFile(path: string, text: string): readonly SaidSetting[] {
  const content = jsonObject(path, text);
  return Object.entries(content).map(([name, value]: [string, unknown]) => {
    const said = `${name} in ${path}`;
    if (!isSettingName(name)) throw unknownSetting(name, said, value, SETTING_NAMES);
    return { name, value, origin: "file", said };
  });
}

/** What a flag says. `flag` as it was typed. */
export function settingOfFlag(name: SettingName, flag: string, value: string | boolean): SaidSetting {
  return { name, value: typeof value === "string" ? valueOfText(name, value) : value, origin: "flag", said: flag };
}

/** Settles what holds: of each setting the first that was said, or the default. Throws SettingsError for the first bad value. */
export function effectiveSettings(said: readonly SaidSetting[]): EffectiveSettings {
  const first = new Map<string, SaidSetting>();
  for (const setting of said) if (!first.has(setting.name)) first.set(setting.name, setting);
  const input = Object.fromEntries([...first.values()].map(({ name, value }) => [name, value]));
  const settings = parseServeSettings(input, (setting) => first.get(setting)?.said ?? setting);
  const origins = SETTING_NAMES.map(
    (name): SaidSetting => first.get(name) ?? { name, value: settingEntry(name).default, origin: "default", said: "the default" },
  );
  return { settings, origins };
}

/** Text becomes the value that it stands for; one that stands for none stays text, for the schema to refuse. */
function valueOfText(name: SettingName, text: string): unknown {
  switch (settingEntry(name).kind) {
    case "text":
      return text;
    case "boolean":
      return text === "true" ? true : text === "false" ? false : text;
    case "wholeNumber":
      return /^[0-9]+$/.test(text) ? Number(text) : text;
  }
}

function jsonObject(path: string, text: string): object {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new SettingsError("config", path, `no JSON (${error.message})`, "one JSON object of settings");
  }
  if (typeof content === "object" && content !== null && !Array.isArray(content)) return content;
  throw new SettingsError("config", path, JSON.stringify(content).slice(0, 40), "one JSON object of settings");
}
