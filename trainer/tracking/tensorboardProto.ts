/**
 * Event files of TensorBoard: the part of its protocol buffers that we write, with their field numbers, and the frames that they stand in.
 */
import protobuf from 'protobufjs';

const schema = `
syntax = "proto3";
package tensorboard;

message Image { int32 height = 1; int32 width = 2; int32 colorspace = 3; bytes encoded_image_string = 4; }
message PluginData { string plugin_name = 1; bytes content = 2; }
message SummaryMetadata { PluginData plugin_data = 1; }
message SummaryValue {
  string tag = 1;
  oneof value { float simple_value = 2; Image image = 4; }
  SummaryMetadata metadata = 9;
}
message Summary { repeated SummaryValue value = 1; }
message SessionLog { int32 status = 1; }
message Event {
  double wall_time = 1;
  int64 step = 2;
  oneof what { string file_version = 3; Summary summary = 5; SessionLog session_log = 7; }
}

// Of the plugin for hyper-parameters
message HParam { oneof kind { double number_value = 2; string string_value = 3; bool bool_value = 4; } }
message SessionStartInfo { map<string, HParam> hparams = 1; string group_name = 4; double start_time_secs = 5; }
message SessionEndInfo { int32 status = 1; double end_time_secs = 2; }
message HParamsPluginData {
  int32 version = 1;
  oneof data { SessionStartInfo session_start_info = 3; SessionEndInfo session_end_info = 4; }
}
`;

export interface SummaryValue {
  readonly tag: string;
  readonly simpleValue?: number;
  /** @see https://www.tensorflow.org: colorspace 3 is RGB, 4 RGBA, 1 grey */
  readonly image?: {
    readonly height: number;
    readonly width: number;
    readonly colorspace: number;
    readonly encodedImageString: Uint8Array;
  };
  readonly metadata?: { readonly pluginData: { readonly pluginName: string; readonly content: Uint8Array } };
}

export interface EventProto {
  /** Seconds. */
  readonly wallTime: number;
  readonly step?: number;
  readonly fileVersion?: string;
  readonly summary?: { readonly value: readonly SummaryValue[] };
  readonly sessionLog?: { readonly status: number };
}

export interface HParamsPluginData {
  readonly sessionStartInfo?: {
    readonly hparams: Readonly<Record<string, { numberValue: number } | { stringValue: string } | { boolValue: boolean }>>;
    readonly groupName: string;
    readonly startTimeSecs: number;
  };
  /** 1 is success, 2 failure. */
  readonly sessionEndInfo?: { readonly status: 1 | 2; readonly endTimeSecs: number };
}

const { root } = protobuf.parse(schema);
export const EventType = root.lookupType('tensorboard.Event');
export const HParamsType = root.lookupType('tensorboard.HParamsPluginData');

export const encodeHParams = (data: HParamsPluginData): Uint8Array => HParamsType.encode(HParamsType.fromObject(data)).finish();

/** An event as a record of the file: length, its checksum, the event, its checksum. */
export function frameOf(event: EventProto): Buffer {
  const payload = EventType.encode(EventType.fromObject(event)).finish();
  const frame = Buffer.alloc(8 + 4 + payload.length + 4);
  frame.writeBigUInt64LE(BigInt(payload.length), 0);
  frame.writeUInt32LE(maskedCrc(frame.subarray(0, 8)), 8);
  frame.set(payload, 12);
  frame.writeUInt32LE(maskedCrc(payload), 12 + payload.length);
  return frame;
}

/** As TFRecord has it, so that the checksum of bytes that hold checksums is no special case. */
export function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0x82f63b78 : rest >>> 1;
  return rest;
});

/** CRC-32C (Castagnoli). */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ table[(crc ^ byte) & 0xff];
  return ~crc >>> 0;
}
