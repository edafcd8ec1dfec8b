// A photo small enough to keep: no larger than what a plate can be read on, without the place and the
// time that a phone writes into its files.

const LONGEST = 1600;
const MOST_BYTES = 900_000;

/** A JPEG of `file`, or `null` of what is no picture. `longest` is of its longer side, in pixels. */
export async function smaller(file: Blob, longest = LONGEST): Promise<Blob | null> {
  let picture: ImageBitmap;
  try {
    picture = await createImageBitmap(file, { imageOrientation: 'from-image' });
  } catch {
    return null;
  }
  for (const most of [longest, 1200, 800]) {
    const scale = Math.min(1, most / Math.max(picture.width, picture.height));
    const canvas = document.createElement('canvas');
    canvas.width = Math.max(1, Math.round(picture.width * scale));
    canvas.height = Math.max(1, Math.round(picture.height * scale));
    canvas.getContext('2d')?.drawImage(picture, 0, 0, canvas.width, canvas.height);
    const jpeg = await new Promise<Blob | null>((done) => canvas.toBlob(done, 'image/jpeg', 0.82));
    if (jpeg && jpeg.size <= MOST_BYTES) return jpeg;
  }
  return null;
}
