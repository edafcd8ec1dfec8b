//! A person puts a figure in the place of a reading: what they write becomes one that the store takes, and
//! the audit log hears of it.

use metering::{MeterId, Quantity, Register, Unit};
use store::{
    Change, Core, Correction, NewCorrection, NotCorrected, Readers, SpanCorrected, SpanCorrection,
    Writer,
};
use web_ui::{NewFigure, NewSpan, NotTaken, SpanChange};

/// What corrections need of the daemon.
#[derive(Clone, Debug)]
pub(crate) struct Corrections {
    pub(crate) core: Core,
    pub(crate) readers: Readers,
    pub(crate) writer: Writer,
}

impl Corrections {
    /// Corrects a reading.
    ///
    /// # Errors
    ///
    /// Why it is as it was.
    pub(crate) async fn make(&self, figure: NewFigure) -> Result<Correction, NotTaken> {
        let NewFigure { meter, register, at_ms, display, who, why } = figure;
        let usual = self.unit(meter, &register, at_ms).await?;
        let quantity = amount(&display, usual).ok_or_else(|| no_figure(&display))?;
        let wanted =
            NewCorrection { meter, register, at_ms, quantity, who: who.clone(), why: why.clone() };
        let refused =
            |error: NotCorrected| NotTaken { code: error.code(), why: crate::chain(&error) };
        let made = self.writer.correct(wanted).await.map_err(refused)?;
        let Correction { register, old, new, .. } = &made;
        let before = match old {
            Some(Ok(old)) => old.to_string(),
            Some(Err(reason)) => reason.as_str().to_owned(),
            None => "nothing".to_owned(),
        };
        let detail = format!("{meter} {register} at {at_ms} ms: from {before} to {new}; {why}");
        tracing::info!(%meter, %register, at_ms, before, now = %new, "a reading was corrected");
        if let Err(error) = self.core.audit(who, "correct".into(), detail).await {
            tracing::error!(error = crate::chain(&error), "the audit log does not know of it");
        }
        Ok(made)
    }

    /// Corrects the readings of a span, or says how many those are.
    ///
    /// # Errors
    ///
    /// Why all is as it was.
    pub(crate) async fn make_span(&self, asked: NewSpan) -> Result<SpanCorrected, NotTaken> {
        let NewSpan { meter, register, span, change, preview, who, why } = asked;
        let usual = self.unit(meter, &register, span.start).await?;
        let figure = |display: &str| amount(display, usual).ok_or_else(|| no_figure(display));
        let (change, told) = match change {
            SpanChange::To(display) => (Change::To(figure(&display)?), format!("to {display}")),
            SpanChange::By(display) => (Change::By(figure(&display)?), format!("by {display}")),
            SpanChange::AsRead => (Change::AsRead, "to what was read".to_owned()),
        };
        let detail = format!("{meter} {register} from {} to {} ms {told}", span.start, span.end);
        let (name, because) = (who.clone(), why.clone());
        let wanted = SpanCorrection { meter, register, span, change, who, why };
        let refused =
            |error: NotCorrected| NotTaken { code: error.code(), why: crate::chain(&error) };
        let made = self.writer.correct_span(wanted, preview).await.map_err(refused)?;
        if !preview && made.readings > 0 {
            let detail = format!("{detail}: {} readings; {because}", made.readings);
            tracing::info!("a span was corrected: {detail}");
            if let Err(error) = self.core.audit(name, "correct".into(), detail).await {
                tracing::error!(error = crate::chain(&error), "the audit log does not know of it");
            }
        }
        Ok(made)
    }

    /// In what a register counted then.
    async fn unit(
        &self,
        meter: MeterId,
        register: &Register,
        at_ms: i64,
    ) -> Result<Unit, NotTaken> {
        let wanted = register.clone();
        let points = self.readers.ask(move |store| Ok(store.points(meter))).await;
        let points = points.map_err(|error| NotTaken { code: None, why: crate::chain(&error) })?;
        let point = points.into_iter().find(|point| point.register == wanted);
        let series = point.map(|point| point.series).unwrap_or_default();
        let then = series.iter().filter(|it| it.begins_ms <= at_ms).max_by_key(|it| it.begins_ms);
        let then = then.or(series.first());
        then.map(|it| it.resolution.unit()).ok_or_else(|| NotTaken {
            code: NotCorrected::NoRegister.code(),
            why: format!("the meter has never told {register}"),
        })
    }
}

fn no_figure(display: &str) -> NotTaken {
    NotTaken {
        code: Some("no_figure"),
        why: format!("`{display}` is no figure, such as 48213.6 or \"48213.6 kWh\""),
    }
}

/// `48213.6` or `48213.6 kWh`.
pub(crate) fn amount(text: &str, usual: Unit) -> Option<Quantity> {
    let text = text.trim();
    let (figure, unit) = match text.split_once(char::is_whitespace) {
        Some((figure, unit)) => (figure, Unit::from_code(unit.trim())?),
        None => (text, usual),
    };
    Quantity::from_decimal(figure, unit).ok()
}
