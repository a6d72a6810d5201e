"""The budgets of gitrepro, measured beside their floors."""
