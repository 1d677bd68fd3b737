//! The dates of `Expires`, as leniently as browsers read them (RFC 6265bis, section 5.6.1).

use std::time::Duration;

use crate::clock::Timestamp;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Reads a date; `None` if it is none. Dates before 1970 are 1970.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for token in text.split(is_delimiter).filter(|token| !token.is_empty()) {
        if time.is_none() && read_time(token).is_some() {
            time = read_time(token);
        } else if day.is_none() && read_number(token, 1..=2).is_some() {
            day = read_number(token, 1..=2);
        } else if month.is_none() && read_month(token).is_some() {
            month = read_month(token);
        } else if year.is_none() && read_number(token, 2..=4).is_some() {
            year = read_number(token, 2..=4);
        }
    }
    let (seconds, day, month) = (time?, day?, month?);
    let year = match year? {
        year @ 70..=99 => year + 1900,
        year @ 0..=69 => year + 2000,
        year => year,
    };
    if !(1..=31).contains(&day) || year < 1601 {
        return None;
    }
    let days = days_since_1970(year, month, day);
    let seconds = u64::try_from(days).unwrap_or_default() * 24 * 60 * 60 + if days < 0 { 0 } else { seconds };
    Some(Timestamp::default().saturating_add(Duration::from_secs(seconds)))
}

fn is_delimiter(c: char) -> bool {
    c.is_ascii() && !c.is_ascii_alphanumeric() && c != ':'
}

/// The digits at the start of a token, if there are so many.
fn read_number(token: &str, digits: std::ops::RangeInclusive<usize>) -> Option<i64> {
    let length = token.bytes().take_while(u8::is_ascii_digit).count();
    if !digits.contains(&length) {
        return None;
    }
    token.get(..length)?.parse().ok()
}

/// The seconds of a day that `hh:mm:ss` stands for.
fn read_time(token: &str) -> Option<u64> {
    let mut parts = token.splitn(3, ':').map(|part| read_number(part, 1..=2));
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    u64::try_from(hour * 3600 + minute * 60 + second).ok()
}

fn read_month(token: &str) -> Option<i64> {
    let name = token.get(..3)?.to_ascii_lowercase();
    (1..).zip(MONTHS).find_map(|(number, month)| (month == name).then_some(number))
}

/// By the calendar that is in use; negative before 1970.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // The year begins in March, so that the day that may be missing is its last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_browsers_read_them() {
        for (text, seconds) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Fri, 02-Jan-70 00:00:01 GMT", Some(86_401)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Thu, 29 Feb 2024 23:59:59 GMT", Some(1_709_251_199)),
            ("Wed, 31 Dec 1969 23:59:59 GMT", Some(0)),
            ("Thu, 01 Jan 2026 24:00:00 GMT", None),
            ("tomorrow", None),
            ("", None),
        ] {
            assert_eq!(parse(text), seconds.map(Timestamp::from_secs), "{text}");
        }
    }
}
