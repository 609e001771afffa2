/** Why a data directory cannot be opened: in use, of another format, damaged. The message says what to do, for people. */
export class DataDirectoryError extends Error {
  override readonly name = "DataDirectoryError";
}
