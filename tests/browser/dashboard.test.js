// What a person sees of the building's use: flows, analysis, a history that is zoomed, the wall.
import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import { after, before, test } from 'node:test';
import {
  accessible,
  api,
  fits,
  holds,
  missing,
  people,
  picture,
  setting,
  settled,
  startBrowser,
  visit,
  WIDTHS,
} from './support.js';

const skip = missing('FYRHUS_URL', 'FYRHUS_USER', 'FYRHUS_PASSWORD');

let browser;
before(async () => {
  browser = await startBrowser();
});
after(() => browser?.close());

const logged = people(setting('FYRHUS_URL'), setting('FYRHUS_USER'), setting('FYRHUS_PASSWORD'));
const person = (options) => logged(browser, options);

/** The main meter of district heating: it tells power, temperatures and a volume. */
async function heatMain(page) {
  const found = (await api(page, '/meters')).find((it) => it.medium === 'heat' && !it.part_of);
  assert.ok(found, 'a heat main');
  return found;
}

/**
 * Fails where a text of a chart lies on another one, or sticks out of the window: what is placed by
 * hand is not kept apart by the browser.
 */
async function apart(page, where) {
  const found = await page.evaluate(() => {
    const shown = (it) => it.checkVisibility() && it.getBoundingClientRect().width > 0;
    const groups = [
      '.flow li',
      '.plot .yt, .plot .unit, .frame .unit',
      '.plot .xt',
      '.frame svg text',
      '.ticks > span',
    ];
    const wrong = [];
    for (const group of groups) {
      const texts = [...document.querySelectorAll(group)].filter(shown);
      const boxes = texts.map((it) => ({ it, box: it.getBoundingClientRect() }));
      for (const { it, box } of boxes) {
        if (box.left < -1 || box.right > innerWidth + 1) wrong.push(`out: ${it.textContent}`);
      }
      for (let a = 0; a < boxes.length; a += 1) {
        for (let b = a + 1; b < boxes.length; b += 1) {
          const [one, other] = [boxes[a], boxes[b]];
          const across =
            Math.min(one.box.right, other.box.right) - Math.max(one.box.left, other.box.left);
          const down =
            Math.min(one.box.bottom, other.box.bottom) - Math.max(one.box.top, other.box.top);
          // Lines of text touch by a pixel of their leading.
          if (across > 2 && down > 3) {
            wrong.push(`${one.it.textContent.trim()} on ${other.it.textContent.trim()}`);
          }
        }
      }
    }
    return wrong.slice(0, 8);
  });
  assert.deepEqual(found, [], `over each other at ${where}`);
}

test('the flow of the day adds up, and a name leads to its meter', { skip }, async () => {
  const { context, page, wrong } = await person();
  await page.locator('.flow li').first().waitFor();
  const { balances } = await api(page, '/flow');
  const energy = balances.find(({ kind }) => kind === 'energy');
  const main = energy.meters.find((it) => energy.meters.some((part) => part.part_of === it.meter));
  await page.getByRole('button', { name: 'Tabell' }).click();
  const rows = page.locator('table tbody tr');
  assert.equal(await rows.count(), energy.meters.length + 1, 'all meters, and the rest');
  await accessible(page, 'the flow as a table');
  await page.getByRole('button', { name: 'Tabell' }).click();
  await page.getByRole('button', { name: 'Vann' }).click();
  await page.waitForURL((url) => url.searchParams.get('flow') === 'water');
  await page.getByRole('button', { name: 'Energi' }).click();
  await page.locator('.flow').getByRole('link', { name: main.name }).click();
  await page.getByRole('heading', { level: 1, name: main.name }).waitFor();
  assert.deepEqual(wrong, []);
  await context.close();
});

test(
  'a history is zoomed by wheel, keys and buttons, and its address says where one is',
  { skip },
  async () => {
    const { context, page, wrong } = await person();
    const { id } = await heatMain(page);
    await page.goto(`/meters/${id}?register=power`);
    const plot = page.locator('.plot').first();
    const cursor = plot.locator('input[type="range"]');
    await cursor.waitFor({ state: 'attached' });
    const width = () => {
      const { searchParams } = new URL(page.url());
      const [from, until] = ['from', 'until'].map((name) => Date.parse(searchParams.get(name)));
      return until - from;
    };
    const narrower = (than) => page.waitForURL(() => width() < than);

    // Without a click the wheel is the page's.
    const box = await plot.boundingBox();
    await page.mouse.move(box.x + box.width / 3, box.y + 60);
    await page.mouse.wheel(0, -240);
    assert.ok(Number.isNaN(width()), 'nobody meant the chart');
    await page.mouse.down();
    await page.mouse.up();
    await page.mouse.wheel(0, -240);
    await narrower(24 * 3_600_000);

    const before = width();
    await cursor.focus();
    await page.keyboard.press('+');
    await narrower(before * 0.6);
    await page.getByRole('button', { name: 'Vis mer tid' }).click();
    await page.waitForURL(() => width() > before * 0.8);

    // Down to single readings: a quarter hour of a meter that is read every few seconds.
    for (let step = 0; step < 12 && !(width() < 1_000_000); step += 1) {
      const now = width();
      await page.getByRole('button', { name: 'Vis mindre tid' }).click();
      await narrower(now);
    }
    await settled(page);
    await accessible(page, 'a window of minutes');
    await page.reload();
    await cursor.waitFor({ state: 'attached' });
    assert.ok(width() < 1_000_000, 'whoever opens this address sees the same');

    await page.getByRole('button', { name: 'År', exact: true }).click();
    await page.waitForURL((url) => url.searchParams.get('period') === 'year');
    assert.ok(Number.isNaN(width()));
    assert.deepEqual(wrong, []);
    await context.close();
  },
);

test('the analysis is read by keys and as tables', { skip }, async () => {
  const { context, page, wrong } = await person();
  await page.goto('/analysis');
  await page.getByRole('heading', { name: /utetemperatur/ }).waitFor();
  const cursor = page.locator('.frame input[type="range"]').first();
  await cursor.focus();
  for (let step = 0; step < 3; step += 1) await page.keyboard.press('ArrowRight');
  assert.match((await cursor.getAttribute('aria-valuetext')) ?? '', /kWh.*°C/s);
  await page.keyboard.press('t');
  const table = page.getByRole('region', { name: 'Tabell' }).first();
  await table.waitFor();
  assert.ok((await table.locator('tbody tr').count()) > 20, 'a row for each day');
  await accessible(page, 'the ET plot as a table');
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'CSV' }).click();
  assert.match((await download).suggestedFilename(), /^heat-.*\.csv$/);

  // Every medium there is can be looked at.
  const media = page.getByRole('group', { name: 'Medium' }).getByRole('button');
  for (let index = 0; index < (await media.count()); index += 1) {
    await media.nth(index).click();
    await settled(page);
    await page.getByRole('heading', { name: 'Varighet' }).waitFor();
  }
  assert.deepEqual(wrong, []);
  await context.close();
});

/** Stands before the gateway, and can be switched off as if the gateway had no power. */
async function plug() {
  const { hostname, port } = new URL(setting('FYRHUS_URL'));
  let on = true;
  const open = new Set();
  const server = createServer((asked, answer) => {
    if (!on) return answer.destroy();
    const { method, url: path, headers } = asked;
    const onward = request({ hostname, port, method, path, headers }, (got) => {
      answer.writeHead(got.statusCode, got.headers);
      got.pipe(answer);
    });
    onward.on('error', () => answer.destroy());
    answer.on('close', () => onward.destroy());
    asked.pipe(onward);
  });
  server.on('connection', (socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    pull() {
      on = false;
      for (const socket of open) socket.destroy();
    },
    push() {
      on = true;
    },
    close() {
      this.pull();
      server.close();
    },
  };
}

test(
  'the wall turns its pages, and outlives a reload without its gateway',
  { skip, timeout: 180_000 },
  async () => {
    const wire = await plug();
    const { context, page, wrong } = await visit(browser, wire.url, { width: WIDTHS.desk });
    try {
      await page.goto('/wall?lang=nb');
      await page.getByLabel('Navn').fill(setting('FYRHUS_USER'));
      await page.getByLabel('Passord').fill(setting('FYRHUS_PASSWORD'));
      await page.getByRole('button', { name: 'Logg inn' }).click();
      await page.locator('.board li').first().waitFor();
      await accessible(page, 'the wall');
      await page.keyboard.press('ArrowRight');
      await page.locator('.flow li').first().waitFor();
      await apart(page, 'the flow on the wall');
      await page.keyboard.press('ArrowLeft');
      const rows = await page.locator('.board li').count();
      // The pages are kept once the worker is there.
      await page.evaluate(async () => {
        const { active } = await navigator.serviceWorker.ready;
        if (active.state === 'activated') return;
        await new Promise((done) => active.addEventListener('statechange', done, { once: true }));
      });
      await page.waitForFunction(() => localStorage.getItem('fyrhus.last.at') !== null);

      wire.pull();
      await page.getByRole('heading', { name: /^Ingen kontakt med gatewayen/ }).waitFor();
      await page.reload();
      await page.getByRole('heading', { name: /^Ingen kontakt med gatewayen/ }).waitFor();
      assert.equal(await page.locator('.board li').count(), rows, 'the last state is still there');
      await accessible(page, 'the wall without its gateway');
      await picture(page, 'wall-without-gateway');
      await page.goto('/?lang=nb');
      await page.getByText('Ingen kontakt med gatewayen.').first().waitFor();
      await page.locator('[data-medium]').first().waitFor();
      await picture(page, 'overview-without-gateway');
      await page.goBack();

      wire.push();
      await page.getByText(/^Direkte/).waitFor({ timeout: 60_000 });
      assert.deepEqual(wrong, []);

      // Whoever logs out leaves nothing behind.
      await page.goto('/setup');
      await page.getByRole('button', { name: 'Logg ut' }).click();
      await page.getByRole('button', { name: 'Logg inn' }).waitFor();
      const left = await page.evaluate(() =>
        Object.keys(localStorage).filter((key) => key.startsWith('fyrhus.last')),
      );
      assert.deepEqual(left, []);
    } finally {
      wire.close();
      await context.close();
    }
  },
);

for (const [device, width] of Object.entries(WIDTHS)) {
  const where = `${device} (${width} px)`;
  test(`nothing overlaps or is cut on a ${where}`, { skip, timeout: 300_000 }, async () => {
    const { context, page, wrong } = await person({ width });
    const { id } = await heatMain(page);
    const pages = {
      overview: ['/', '.flow li'],
      analysis: ['/analysis', '.facts'],
      electricity: ['/analysis?medium=electricity&days=90', '.facts'],
      meter: [`/meters/${id}?compare=1`, '.plot'],
      more: ['/more', 'h1'],
      // Nobody hangs a phone on a wall.
      ...(width > 700 ? { wall: ['/wall', '.board li'] } : {}),
    };
    for (const [name, [path, there]] of Object.entries(pages)) {
      for (const lang of ['en', 'da', 'nb']) {
        await page.goto(`${path}${path.includes('?') ? '&' : '?'}lang=${lang}`);
        // A year of history takes its time on a busy machine.
        await page.locator(there).first().waitFor({ timeout: 60_000 });
        await settled(page);
        await fits(page, `${name} in ${lang}, ${where}`);
        await apart(page, `${name} in ${lang}, ${where}`);
      }
      await holds(page, `dashboard-${name}-${width}`, `${name}, ${where}`);
    }
    assert.deepEqual(wrong, []);
    await context.close();
  });
}
