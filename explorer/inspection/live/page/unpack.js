// What the page carries, taken out of it: bytes of its blocks, and photos as pixels. Nothing is fetched.

const SLICE = 1 << 20;  // letters of base64 at a time, a multiple of 4: the bar moves, and the page stays awake

const blockOf = (id) => document.getElementById(id);
const factsIn = (id) => JSON.parse(blockOf(id).textContent);
const bytesOfLetters = (text) => (Uint8Array.fromBase64
  ? Uint8Array.fromBase64(text)
  : Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));

// The bytes of a block; onShare(0..1) on the way. Its attribute data-packed says whether they are gzipped.
async function unpack(id, onShare = () => {}) {
  const block = blockOf(id);
  if (!block) throw new Error(`This page is not whole: its part ${id} is missing. Save it again, or write it anew.`);
  const text = block.textContent;
  if (block.dataset.packed !== "gzip") {
    onShare(1);
    return bytesOfLetters(text);
  }
  const gzip = new DecompressionStream("gzip"), writer = gzip.writable.getWriter();
  const unpacked = new Response(gzip.readable).arrayBuffer();
  try {
    for (let start = 0; start < text.length; start += SLICE) {
      await writer.write(bytesOfLetters(text.slice(start, start + SLICE)));
      onShare(Math.min(1, (start + SLICE) / text.length));
    }
    await writer.close();
    return new Uint8Array(await unpacked);
  } catch {
    unpacked.catch(() => {});
    throw new Error(`This page is not whole: its part ${id} can't be unpacked. Copy it again, or write it anew.`);
  }
}

// A photo's pixels as they are stored: upright, RGBA, no colour profile applied, transparency laid over white.
async function pixelsOf(blob) {
  let picture;
  try {
    picture = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new Error("This is no picture that your browser can open: give a JPEG, PNG or WebP.");
  }
  const { width, height } = picture;
  const canvas = new OffscreenCanvas(width, height), ink = canvas.getContext("2d", { willReadFrequently: true });
  ink.fillStyle = "white";
  ink.fillRect(0, 0, width, height);
  ink.drawImage(picture, 0, 0);
  picture.close();
  return { width, height, pixels: ink.getImageData(0, 0, width, height).data };
}

// One of the page's own photos, as a file and as pixels.
const photoFile = async (index) => {
  const id = `vx-photo-${index}`;
  return new Blob([await unpack(id)], { type: blockOf(id).dataset.kind });
};
const photoSource = async (index) => pixelsOf(await photoFile(index));
