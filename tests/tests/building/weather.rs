//! The outdoor temperature of a weather service: nothing is asked without consent, a forecast is
//! marked as one, and a service that fails is said.

use serde_json::Value;
use site_tests::building::Building;
use site_tests::gateway::Home;

const BUILDING: &str = r#"
name = "Gård"
[[bus]]
id = "forecast"
kind = "weather"
poll_every_secs = 10

[[meter]]
name = "Forecast"
bus = "forecast"
device = "forecast"
place = "outdoors"
"#;

fn register<'v>(meter: &'v Value, register: &str) -> Option<&'v Value> {
    meter["registers"].as_array()?.iter().find(|it| it["register"] == register)
}

#[tokio::test]
async fn a_forecast_is_told_as_one() {
    let home = Home::new().unwrap();
    let building = Building::start(&home, BUILDING).unwrap();
    let site = std::fs::read_to_string(home.site()).unwrap();
    let real = site.replace("simulated = true", "simulated = false");
    std::fs::write(home.site(), real).unwrap();
    let meter = building.meter("Forecast").unwrap();
    let path = format!("meters/{meter}");

    let gateway = home.start().await.unwrap();
    let told = |meter: &Value| {
        register(meter, "temperature_forecast").is_some_and(|it| !it["value"].is_null())
    };
    let meter = gateway.until("the service is asked", &path, told).await.unwrap();
    let forecast = register(&meter, "temperature_forecast").unwrap();
    assert_eq!((&forecast["origin"], &forecast["unit"]), (&"forecast".into(), &"C".into()));
    let celsius: f64 = forecast["value"].as_str().unwrap().parse().unwrap();
    assert!((-30.0..35.0).contains(&celsius), "{meter}");

    // There is no sensor of the building's own: the overview shows the forecast, and says so.
    let outdoors = |overview: &Value| overview["outdoor"]["source"] == "forecast";
    gateway.until("outdoors", "overview", outdoors).await.unwrap();
}

#[tokio::test]
async fn without_consent_nothing_is_asked_and_a_service_that_refuses_is_said() {
    let home = Home::new().unwrap();
    let mut building = Building::start(&home, BUILDING).unwrap();
    building.tell("refuse Forecast on").unwrap();
    let meter = building.meter("Forecast").unwrap();
    let site = std::fs::read_to_string(home.site()).unwrap();

    let without = site.replace("consent = true", "consent = false");
    std::fs::write(home.site(), without).unwrap();
    let check = site_tests::paths::binary("fyrhus").unwrap();
    let check =
        std::process::Command::new(check).arg("check-config").arg(home.site()).output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&check.stdout),
        String::from_utf8_lossy(&check.stderr)
    );
    assert!(!check.status.success() && said.contains("consent = true"), "{said}");

    std::fs::write(home.site(), site).unwrap();
    let gateway = home.start().await.unwrap();
    let said = |meter: &Value| meter["error"]["code"] == "port_status";
    let path = format!("meters/{meter}");
    let meter = gateway.until("it refuses", &path, said).await.unwrap();
    assert_eq!(meter["error"]["params"]["status"], "429", "{meter}");
}
