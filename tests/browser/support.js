// A browser, the people who use it, and what every page must hold to.
import assert from 'node:assert/strict';
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

/** The widths that the pages are made for: the smallest phone, a phone, a laptop, a desk. */
export const WIDTHS = { small: 320, phone: 390, laptop: 1280, desk: 1920 };

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const pictures = new URL('./out/', import.meta.url).pathname;
mkdirSync(pictures, { recursive: true });

/** A setting that the one who starts the tests gives; without it a journey says why it is skipped. */
export function setting(name) {
  return process.env[name] || null;
}

/** For `test(name, { skip: missing(...) }, ...)`: why not, or false. With CI=true nothing is skipped. */
export function missing(...names) {
  const absent = names.filter((name) => !setting(name));
  if (absent.length === 0) return false;
  if (process.env.CI === 'true') throw new Error(`not set: ${absent.join(', ')}`);
  return `not set: ${absent.join(', ')}`;
}

/** The browser of the system, or the one that FYRHUS_CHROMIUM names. */
export async function startBrowser() {
  const known = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
  const executablePath = setting('FYRHUS_CHROMIUM') ?? known.find((path) => existsSync(path));
  assert.ok(executablePath, `no Chromium found: install it, or set FYRHUS_CHROMIUM`);
  return chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
}

/** A person with a browser of their own: `page`, and `wrong`, everything that the page complained of. */
export async function visit(browser, baseURL, { width = WIDTHS.laptop, cookies } = {}) {
  const context = await browser.newContext({
    baseURL,
    viewport: { width, height: width < 700 ? 844 : 900 },
    colorScheme: 'light',
    // A colour is at once what it will be: what looks at a page is not to meet it half-way.
    reducedMotion: 'reduce',
    locale: 'nb-NO',
    // Not the building's: the pages must show the building's time.
    timezoneId: 'America/New_York',
    // The gateway signs its own certificate.
    ignoreHTTPSErrors: true,
    // So that axe can be put into the page; the policy itself is looked at in a test of its own.
    bypassCSP: true,
    ...(cookies ? { storageState: { cookies, origins: [] } } : {}),
  });
  const page = await context.newPage();
  // Against hanging, not for speed: the machine may have other things to do.
  page.setDefaultTimeout(60_000);
  const wrong = [];
  page.on('pageerror', (error) => wrong.push(error.message));
  page.on('console', (message) => {
    // A refused request is told by the browser too; the pages tell it themselves.
    const refused = message.text().startsWith('Failed to load resource');
    if (message.type() === 'error' && !refused) wrong.push(message.text());
  });
  page.on('request', (request) => {
    const { origin } = new URL(request.url());
    if (origin !== new URL(baseURL).origin && origin !== 'null') {
      wrong.push(`a request to another host: ${request.url()}`);
    }
  });
  return { context, page, wrong };
}

/**
 * Somebody who has logged in. The first one fills in the form; those after them come with the same
 * session, so that the slowing of logins has nothing to slow.
 */
export function people(url, name, password) {
  let cookies;
  return async (browser, options) => {
    const found = await visit(browser, url, { ...options, cookies });
    await found.page.goto('/?lang=nb');
    if (!cookies) {
      await found.page.getByLabel('Navn').fill(name);
      await found.page.getByLabel('Passord').fill(password);
      await found.page.getByRole('button', { name: 'Logg inn' }).click();
    }
    await found.page
      .getByRole('navigation', { name: /^Hovedmeny/ })
      .first()
      .waitFor();
    ({ cookies } = await found.context.storageState());
    return found;
  };
}

/** Waits until a page has its heading and nothing is being fetched any more. */
export async function settled(page) {
  await page.locator('h1').first().waitFor();
  await page.locator('[aria-busy="true"], .blocks').first().waitFor({ state: 'detached' });
}

/** Fails with what axe-core found, each with the element. */
export async function accessible(page, where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document));
  const found = violations.flatMap(({ id, help, nodes }) =>
    nodes.map((node) => `${id} (${help}): ${node.html.slice(0, 160)}`),
  );
  assert.deepEqual(found, [], `axe-core at ${where}`);
}

/** Fails if the page can be pushed sideways, or something sticks out of its panel, with all that can be unfolded open. */
export async function fits(page, where) {
  const wider = await page.evaluate(() => {
    for (const folded of document.querySelectorAll('details')) folded.open = true;
    const told = (elements) => elements.slice(0, 5).map((it) => it.outerHTML.slice(0, 160));
    const right = (element) => element.getBoundingClientRect().right;
    const limit = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth > limit) {
      const all = [...document.querySelectorAll('body *')];
      const wide = all.filter((it) => !it.closest('.scroll') && right(it) > limit + 1);
      return wide.length > 0 ? told(wide) : ['the page, by nothing that is seen'];
    }
    // What is scrolled to inside a panel may be wider than it.
    const inside = [...document.querySelectorAll('.panel *')];
    return told(
      inside.filter(
        (it) => !it.closest('.scroll, .sr, svg') && right(it) > right(it.closest('.panel')) + 1,
      ),
    );
  });
  assert.deepEqual(wider, [], `cut off at ${where}`);
}

/**
 * What every page must hold to: it fits, and in both themes everybody can read it. A theme changes
 * colours alone, so the page is opened once; its pictures are `name`-dark and `name`-light.
 */
export async function holds(page, name, where) {
  await fits(page, where);
  for (const theme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme: theme });
    await accessible(page, `${where}, ${theme}`);
    await picture(page, `${name}-${theme}`);
  }
}

/** A picture to look at afterwards, in out/. */
export async function picture(page, name) {
  await page.screenshot({ path: `${pictures}${name}.png`, fullPage: true });
}

/** Tells the simulated building something: `silence METER on`. */
export function tellBuilding(line) {
  appendFileSync(setting('FYRHUS_DEMO_CONTROL'), `${line}\n`);
}

/** What the API of the page's own session answers. */
export function api(page, path) {
  return page.evaluate(async (path) => (await fetch(`/api/v1${path}`)).json(), path);
}
