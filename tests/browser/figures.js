// What a person at the pages waits for, measured in Chromium and told as one line of JSON: the end of
// `make bench`, and no test. What it is asked for comes as environment: the gateway and who logs in there,
// FYRHUS_METER, a span from FYRHUS_FROM until FYRHUS_UNTIL, and two of its registers in FYRHUS_REGISTERS.
import { people, setting, settled, startBrowser, visit } from './support.js';

/** A processor that is so many times slower: a phone of some years. */
const SLOWED = 4;
const LOADS = 5;
const PICTURES = 21;
/** Two seconds of dragging. */
const STEPS = 120;
const FRAME_MS = 1000 / 60;

const half = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
const round = (number) => Math.round(number * 10) / 10;

const browser = await startBrowser();
const logged = people(setting('FYRHUS_URL'), setting('FYRHUS_USER'), setting('FYRHUS_PASSWORD'));
try {
  const interactive = [];
  const first = await logged(browser);
  const { cookies } = await first.context.storageState();
  await first.context.close();
  for (let load = 0; load < LOADS; load += 1) interactive.push(await firstPage(cookies));
  const { page, context } = await logged(browser);
  const work = await workOf(page, context);
  await page.goto('/');
  await settled(page);
  const overview = await work();
  await page.goto(address(0));
  await page.locator('path.line').first().waitFor();
  const readings = await counted(page);
  const pictures = [];
  for (let turn = 1; turn <= PICTURES; turn += 1) pictures.push(await drawn(page, turn % 2));
  const still = await frames(page, () => page.waitForTimeout(STEPS * FRAME_MS));
  const begun = await work();
  const moved = await frames(page, () => drag(page));
  const panned = (await work()) - begun;
  await context.close();
  const told = {
    interactive_ms: Math.round(half(interactive)),
    interactive_worst_ms: Math.round(Math.max(...interactive)),
    overview_work_ms: round(overview),
    readings,
    drawn_ms: round(half(pictures.map((it) => it.all))),
    drawn_worst_ms: round(Math.max(...pictures.map((it) => it.all))),
    served_ms: round(half(pictures.map((it) => it.served))),
    still_dropped: still.dropped,
    panned_work_ms: round(panned / STEPS),
    panned_frames: moved.frames,
    panned_dropped: moved.dropped,
    panned_longest_ms: round(moved.longest),
  };
  process.stdout.write(`${JSON.stringify(told)}\n`);
} finally {
  await browser.close();
}

function address(register) {
  const query = new URLSearchParams({
    register: setting('FYRHUS_REGISTERS').split(',')[register],
    from: setting('FYRHUS_FROM'),
    until: setting('FYRHUS_UNTIL'),
  });
  return `/meters/${setting('FYRHUS_METER')}?${query}`;
}

/** How many readings are behind what is seen, as the server counts them. */
async function counted(page) {
  const asked = new URLSearchParams(new URL(page.url()).search);
  asked.set('step', 'month');
  const path = `/meters/${setting('FYRHUS_METER')}/history?${asked}`;
  const { runs } = await page.evaluate(
    async (path) => (await fetch(`/api/v1${path}`)).json(),
    path,
  );
  return runs.flatMap((run) => run.rows).reduce((sum, row) => sum + row.got, 0);
}

/**
 * From the address to the overview with its values, in a browser that has nothing of it, until the last
 * task that would have kept a click waiting has ended.
 */
async function firstPage(cookies) {
  const { page, context } = await visit(browser, setting('FYRHUS_URL'), { cookies });
  const slow = await context.newCDPSession(page);
  await slow.send('Emulation.setCPUThrottlingRate', { rate: SLOWED });
  await page.addInitScript(() => {
    const seen = { tasks: [], shown: null };
    globalThis.seen = seen;
    new PerformanceObserver((list) => {
      for (const { startTime, duration } of list.getEntries()) {
        seen.tasks.push([startTime, startTime + duration]);
      }
    }).observe({ type: 'longtask', buffered: true });
    const look = () => {
      const ready =
        document.querySelector('main h1') && !document.querySelector('[aria-busy="true"], .blocks');
      if (ready) seen.shown = performance.now();
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
  await page.goto('/');
  await page.waitForFunction(() => globalThis.seen.shown !== null);
  // What was begun before it was seen, or because of it, has ended then.
  await page.waitForTimeout(1500);
  const ended = await page.evaluate(() => {
    const { tasks, shown } = globalThis.seen;
    const one = tasks.filter(([start]) => start <= shown + 1000).map(([, end]) => end);
    return Math.max(shown, ...one);
  });
  await context.close();
  return ended;
}

/** What the page's main thread has worked since it was opened, in milliseconds; waiting for others is none. */
async function workOf(page, context) {
  const tool = await context.newCDPSession(page);
  await tool.send('Performance.enable', { timeDomain: 'threadTicks' });
  return async () => {
    const { metrics } = await tool.send('Performance.getMetrics');
    return 1000 * metrics.find((it) => it.name === 'TaskDuration').value;
  };
}

/** From a choice of another register until its line is on the page; and what the server took of that. */
function drawn(page, register) {
  const name = setting('FYRHUS_REGISTERS').split(',')[register];
  return page.evaluate(async (name) => {
    const path = () => document.querySelector('path.line')?.getAttribute('d');
    const before = path();
    const choice = document.querySelector('.choice select');
    const begun = performance.now();
    choice.value = [...choice.options].find((it) => it.value === name).value;
    choice.dispatchEvent(new Event('change', { bubbles: true }));
    await new Promise((done) => {
      const look = () => {
        const now = path();
        if (now && now !== before) done();
        else requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    });
    // The next task comes after the picture has been made.
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    const ended = performance.now();
    const asked = performance
      .getEntriesByType('resource')
      .filter((it) => it.startTime >= begun && it.name.includes('/history?'));
    return { all: ended - begun, served: Math.max(...asked.map((it) => it.duration)) };
  }, name);
}

/** How many pictures were made while `what` was done, and how many were not made in time. */
async function frames(page, what) {
  await page.evaluate(() => {
    globalThis.times = [];
    const look = (at) => {
      globalThis.times?.push(at);
      if (globalThis.times) requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
  await what();
  const times = await page.evaluate(() => {
    const { times } = globalThis;
    globalThis.times = undefined;
    return times;
  });
  const apart = times.slice(1).map((at, index) => at - times[index]);
  const dropped = apart.reduce((sum, it) => sum + Math.max(0, Math.round(it / FRAME_MS) - 1), 0);
  return { frames: apart.length, dropped, longest: Math.max(...apart) };
}

/** Moves what is seen by the mouse, a little in every picture. */
async function drag(page) {
  const box = await page.locator('.plot').first().boundingBox();
  const [x, y] = [box.x + box.width * 0.3, box.y + box.height / 2];
  await page.mouse.move(x, y);
  await page.mouse.down();
  for (let step = 0; step < STEPS; step += 1) {
    await page.mouse.move(x + step * 3, y);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(done)));
  }
  await page.mouse.up();
}
