import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { DescriptorProto, EnumDescriptorProto, FileDescriptorProto } from "@bufbuild/protobuf/wkt";

/** Number of `FileDescriptorSet.file`. */
const FILE_FIELD = 1;

interface IndexedFile {
  readonly bytes: Uint8Array;
  readonly imports: readonly string[];
}

/** What reflection is asked for: files by name and by the symbols that they declare. Files are kept and served as the compiler wrote them. */
export class DescriptorIndex {
  private readonly files = new Map<string, IndexedFile>();
  /** Full names, without a leading dot, and the file that declares each. */
  private readonly symbols = new Map<string, string>();
  private readonly messageTypes = new Set<string>();
  private readonly serviceNames: string[] = [];

  /** Adds every file of an encoded FileDescriptorSet. */
  addSet(set: Uint8Array): void {
    const reader = new BinaryReader(set);
    while (reader.pos < reader.len) {
      const [field, wireType] = reader.tag();
      if (field === FILE_FIELD && wireType === WireType.LengthDelimited) this.addFile(reader.bytes());
      else reader.skip(wireType, field);
    }
  }

  /** Adds one encoded FileDescriptorProto. A file that is known already stays as it is. */
  addFile(bytes: Uint8Array): void {
    const file = fromBinary(FileDescriptorProtoSchema, bytes);
    if (this.files.has(file.name)) return;
    this.files.set(file.name, { bytes, imports: file.dependency });
    this.addSymbols(file);
  }

  /** Sorted full names. */
  services(): readonly string[] {
    return this.serviceNames;
  }

  isMessageType(name: string): boolean {
    return this.messageTypes.has(name);
  }

  /** The file of that name, then all that it imports, each file before those that it imports; undefined when there is none. */
  fileByName(name: string): readonly Uint8Array[] | undefined {
    if (!this.files.has(name)) return undefined;
    const importedFirst = new Map<string, Uint8Array>();
    this.collect(name, importedFirst);
    return [...importedFirst.values()].reverse();
  }

  /** The file that declares a service, method, message, field, enum or enum value, and all that it imports. */
  fileBySymbol(symbol: string): readonly Uint8Array[] | undefined {
    const name = this.symbols.get(symbol);
    return name === undefined ? undefined : this.fileByName(name);
  }

  /** Imports form no cycle: the compiler sees to that. */
  private collect(name: string, found: Map<string, Uint8Array>): void {
    const file = this.files.get(name);
    if (file === undefined || found.has(name)) return;
    for (const imported of file.imports) this.collect(imported, found);
    found.set(name, file.bytes);
  }

  private addSymbols(file: FileDescriptorProto): void {
    const scope = file.package === "" ? "" : `${file.package}.`;
    for (const message of file.messageType) this.addMessage(file.name, scope, message);
    for (const type of file.enumType) this.addEnum(file.name, scope, type);
    for (const service of file.service) {
      const name = `${scope}${service.name}`;
      this.symbols.set(name, file.name);
      for (const method of service.method) this.symbols.set(`${name}.${method.name}`, file.name);
      this.serviceNames.push(name);
    }
    this.serviceNames.sort();
  }

  private addMessage(file: string, scope: string, message: DescriptorProto): void {
    const name = `${scope}${message.name}`;
    this.symbols.set(name, file);
    this.messageTypes.add(name);
    for (const field of message.field) this.symbols.set(`${name}.${field.name}`, file);
    for (const nested of message.nestedType) this.addMessage(file, `${name}.`, nested);
    for (const type of message.enumType) this.addEnum(file, `${name}.`, type);
  }

  /** In protobuf the values of an enum are siblings of the enum, not its children. */
  private addEnum(file: string, scope: string, type: EnumDescriptorProto): void {
    this.symbols.set(`${scope}${type.name}`, file);
    for (const value of type.value) this.symbols.set(`${scope}${value.name}`, file);
  }
}
