// The families of texts that no first page says. They come with the first of the other pages; `texts.mjs`
// finds one that a first page says all the same.
export const LATER = [
  'audit',
  'backup',
  'books',
  'certificate',
  'commission',
  'correct',
  'diagnosis',
  'doctor',
  'et',
  'facts',
  'keys',
  'links',
  'list',
  'papers',
  'passkeys',
  'peers',
  'physics',
  'plan',
  'plate',
  'report',
  'restore',
  'scan',
  'sla',
  'telegram',
  'uptime',
  'users',
  'versions',
  'wirelog',
];

/** Whether the text with this code comes later. */
export const comesLater = (code) => LATER.includes(code.split('.')[0]);
