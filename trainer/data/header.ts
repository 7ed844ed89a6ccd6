/**
 * What the first bytes of the two most frequent kinds of image say, without opening a decoder, which costs as much as decoding a small
 * image. Whatever is not plain (palettes, EXIF data, animation, CMYK) is left to the decoder.
 *
 * Formats: PNG, ISO/IEC 15948, 11.2.2; JPEG, ITU-T T.81, B.2.2.
 */

export interface Header {
  readonly width: number;
  readonly height: number;
  /** `ushort` for 16 bits. */
  readonly depth?: string;
  readonly channels?: number;
  /** `b-w` where the file is grey. */
  readonly space?: string;
  readonly format?: string;
  readonly hasAlpha?: boolean;
  /** Frames; more than one in an animation. */
  readonly pages?: number;
  /** Of EXIF, 1 where the pixels are upright. */
  readonly orientation?: number;
}

/** @returns undefined where only a decoder can tell */
export function plainHeader(bytes: Buffer): Header | undefined {
  try {
    if (bytes.readUInt32BE(0) === 0x89504e47) return plainPng(bytes);
    if (bytes.readUInt16BE(0) === 0xffd8) return plainJpeg(bytes);
  } catch {
    // It ends too early: the decoder says so.
  }
  return undefined;
}

/** A chunk acTL before the pixels; its first number counts the frames. */
export function isAnimatedPng(bytes: Buffer): boolean {
  if (bytes.length < 8 || bytes.readUInt32BE(0) !== 0x89504e47) return false;
  const at = bytes.indexOf('acTL');
  return at > 0 && at < bytes.indexOf('IDAT');
}

const pngChannels: Readonly<Record<number, number>> = { 0: 1, 2: 3, 4: 2, 6: 4 };
/** Transparency, animation, rotation, and colour profiles: they change what the header alone says. */
const notPlain = ['tRNS', 'acTL', 'eXIf', 'iCCP'];

function plainPng(bytes: Buffer): Header | undefined {
  for (let at = 8; ; at += bytes.readUInt32BE(at) + 12) {
    const type = bytes.toString('latin1', at + 4, at + 8);
    if (notPlain.includes(type)) return undefined;
    if (type === 'IDAT') break;
  }
  const [width, height, bits] = [bytes.readUInt32BE(16), bytes.readUInt32BE(20), bytes.readUInt8(24)];
  const channels = pngChannels[bytes.readUInt8(25)];
  if (!channels || width === 0 || height === 0) return undefined;
  return { width, height, channels, ...toned(channels, bits === 16), format: 'png', hasAlpha: channels % 2 === 0 };
}

function plainJpeg(bytes: Buffer): Header | undefined {
  for (let at = 2; ; at += bytes.readUInt16BE(at + 2) + 2) {
    const marker = bytes.readUInt16BE(at);
    const isExif = marker === 0xffe1 && bytes.toString('latin1', at + 4, at + 8) === 'Exif';
    const isAdobe = marker === 0xffee;
    if (marker < 0xffc0 || isExif || isAdobe) return undefined;
    // Baseline, extended and progressive frames; the others are rare.
    if (marker > 0xffc2) continue;
    const [bits, height, width, channels] = [
      bytes.readUInt8(at + 4),
      bytes.readUInt16BE(at + 5),
      bytes.readUInt16BE(at + 7),
      bytes.readUInt8(at + 9),
    ];
    if (bits !== 8 || height === 0 || width === 0 || (channels !== 1 && channels !== 3)) return undefined;
    return { width, height, channels, ...toned(channels, false), format: 'jpeg', hasAlpha: false };
  }
}

const toned = (channels: number, wide: boolean) => ({
  depth: wide ? 'ushort' : 'uchar',
  space: channels < 3 ? (wide ? 'grey16' : 'b-w') : wide ? 'rgb16' : 'srgb',
});
